"""A pipeline with the fault of 0.1, with which no run could succeed on a real backend: a loop over a bare `list`.

kfp takes its items for strings. Without postponed annotations, which kfp cannot read.
"""

# A type checker does not see that components become tasks.
# pyright: reportAttributeAccessIssue=false

from kfp import dsl


@dsl.component(base_image="python:3.12")
def candidates() -> list:
    return [{"architecture": "lenet"}]


@dsl.component(base_image="python:3.12")
def train(candidate: dict) -> str:
    return candidate["architecture"]


@dsl.component(base_image="python:3.12")
def register(run_ids: list):
    print(run_ids)


@dsl.pipeline
def faulty():
    with dsl.ParallelFor(candidates().output) as candidate:
        trained = train(candidate=candidate)
    register(run_ids=dsl.Collected(trained.output))
