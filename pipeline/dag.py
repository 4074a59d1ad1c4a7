"""The pipeline: how the steps are chained. The same for a run on this machine, in containers and on Kubeflow.

`Dataset` artifacts are folders (see components/faces/dataset.py); candidates are told apart by MLflow run ids.
"""

# kfp's decorators make components of functions, and its channels stand for values: a type checker sees neither.
# pyright: reportCallIssue=false, reportArgumentType=false, reportReturnType=false

from collections.abc import Callable

from kfp import dsl
from kfp.dsl import PipelineTask
from kfp.dsl.base_component import BaseComponent

from components.balance.component import balance as balance_step
from components.close_run.component import close_run as close_run_step
from components.evaluate.component import evaluate as evaluate_step
from components.ingest.component import ingest as ingest_step
from components.locate.component import locate as locate_step
from components.open_run.component import open_run as open_run_step
from components.profile.component import profile as profile_step
from components.register.component import register as register_step
from components.train.component import train as train_step
from pipeline.parameters import Parameters

DEFAULTS = Parameters().dump()

Place = Callable[[PipelineTask, str], PipelineTask]
"""Says where a task runs: given the task and its step's name, returns the task with a cluster's settings on it."""


def anywhere(task: PipelineTask, step: str) -> PipelineTask:
    """Leaves the task as it is: for runs without a cluster."""
    return task


def pipeline_for(place: Place = anywhere, at_a_time: int = 1) -> BaseComponent:
    """The pipeline, with each task placed by `place` and at most `at_a_time` candidates in training at once."""

    @dsl.pipeline(name="facial-expression", display_name="Facial expression: train, evaluate, register")
    def facial_expression(
        csv: str = DEFAULTS["csv"],
        candidates: list = DEFAULTS["candidates"],
        experiment: str = DEFAULTS["experiment"],
        ingest: dict = DEFAULTS["ingest"],
        balance: dict = DEFAULTS["balance"],
        train: dict = DEFAULTS["train"],
        evaluate: dict = DEFAULTS["evaluate"],
        register: dict = DEFAULTS["register"],
        tracking_uri: str = "",
        state_dir: str = "",
        code_version: str = "",
        git_commit: str = "",
        parent_run_id: str = "",
    ):
        """From a CSV of faces to registered models and a verdict on which may become champion.

        1. locate    finds out which version of the CSV this is.
        2. open_run  checks the candidates and opens the parent run in MLflow.
        3. ingest    CSV -> checked, de-duplicated faces, split into train, validation and test.
        4. balance   train -> class-balanced train, by augmentation.
        5. profile   pictures and counts of the data, before and after, to the parent run.
        6. For each candidate, in a run of its own under the parent:
           train     faces -> model;
           evaluate  model -> predictions, metrics per class, report.
        7. register  registers every candidate; the gate says whether the best one may become champion.
        8. close_run ends the parent run, whatever happened (exit handler).

        Args:
            csv: the faces; see pipeline/parameters.py for this and for every key of the sections below.
            candidates: what to train.
            experiment: MLflow experiment.
            ingest: parameters of ingest.
            balance: parameters of balance.
            train: parameters of train that hold for all candidates.
            evaluate: parameters of evaluate.
            register: parameters of register and its gate.
            tracking_uri: the MLflow to log to.
            state_dir: where training keeps its state, so that a retried or resumed run goes on where it was.
            code_version: digest of the code this was made from.
            git_commit: commit of that code.
            parent_run_id: an MLflow run to adopt as the parent; empty for a new one.
        """
        closing = place(
            close_run_step(pipeline_run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, tracking_uri=tracking_uri), "close_run"
        )
        closing.set_caching_options(False)
        with dsl.ExitHandler(closing, name="pipeline run"):
            located = place(locate_step(csv=csv), "locate").set_caching_options(False)

            opened = place(
                open_run_step(
                    pipeline_run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                    csv=csv,
                    candidates=candidates,
                    experiment=experiment,
                    ingest=ingest,
                    balance=balance,
                    train=train,
                    evaluate=evaluate,
                    register=register,
                    source_version=located.output,
                    code_version=code_version,
                    git_commit=git_commit,
                    parent_run_id=parent_run_id,
                    tracking_uri=tracking_uri,
                ),
                "open_run",
            ).set_caching_options(False)

            # Cached by the backend: they are pure, and what changes their result is in their parameters.
            ingested = place(
                ingest_step(csv=csv, source_version=located.output, code_version=code_version, parameters=ingest),
                "ingest",
            ).after(opened)
            balanced = place(
                balance_step(faces=ingested.outputs["faces"], code_version=code_version, parameters=balance),
                "balance",
            )

            place(
                profile_step(
                    faces=ingested.outputs["faces"],
                    balanced=balanced.outputs["balanced"],
                    run=opened.output,
                    tracking_uri=tracking_uri,
                ),
                "profile",
            ).set_caching_options(False)

            with dsl.ParallelFor(opened.output, name="for each candidate", parallelism=at_a_time) as candidate:
                trained = place(
                    train_step(
                        candidate=candidate,
                        faces=balanced.outputs["balanced"],
                        state_dir=state_dir,
                        tracking_uri=tracking_uri,
                    ),
                    "train",
                ).set_caching_options(False)
                evaluated = place(
                    evaluate_step(
                        run_id=trained.output,
                        faces=balanced.outputs["balanced"],
                        parameters=evaluate,
                        tracking_uri=tracking_uri,
                    ),
                    "evaluate",
                ).set_caching_options(False)

            # An ensemble of the candidates, evaluated the same way, will stand here.

            place(
                register_step(
                    run_ids=dsl.Collected(evaluated.outputs["Output"]),
                    faces=balanced.outputs["balanced"],
                    run=opened.output,
                    parameters=register,
                    tracking_uri=tracking_uri,
                ),
                "register",
            ).set_caching_options(False)

    return facial_expression
