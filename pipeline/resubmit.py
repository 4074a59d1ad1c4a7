"""`ferpipe submit --resume`: a new pipeline run that goes on in the MLflow run of one that ended badly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferkit.code_version import weights_version
from ferkit.errors import UserError
from ferkit.tracking import names
from pipeline.backend import ENDED
from pipeline.kubeflow import RunConfig, read_cluster, split_assignments
from pipeline.layers import read_config
from pipeline.orphans import answers, end, pipeline_run_of
from pipeline.parameters import SECTIONS, Parameters

if TYPE_CHECKING:
    from mlflow.entities import Run

    from pipeline.watch import Watch


def read_resumed(
    tracking_uri: str, parent_run_id: str, config: Path | None, assignments: Iterable[str] = ()
) -> RunConfig:
    """The settings of a resumed run: its parent's parameters, and the cluster's settings of today.

    Args:
        tracking_uri: the pods' MLflow, which must answer from here.
        parent_run_id: the parent's run there.
        config: file whose `cluster` section counts. Parameters in it must be the run's own.
        assignments: for the cluster's settings alone.

    Raises:
        UserError: there is no such run, MLflow does not answer, or other parameters are set than the run has.
    """
    from pipeline.resume import parameters_of

    for_pipeline, for_cluster = split_assignments(assignments)
    if for_pipeline:
        raise UserError(f"--set {for_pipeline[0]}: a resumed run keeps its own parameters; only cluster.… may be set")
    if not answers(tracking_uri):
        raise UserError(
            f"--resume: the parameters of run {parent_run_id} are in MLflow, and {tracking_uri} does not answer from "
            "here; submit it from where that address answers, such as a pod of the cluster"
        )
    parameters = parameters_of(tracking_uri, parent_run_id)
    values = read_config(config) if config else {}
    cluster, outdated = read_cluster(values.pop("cluster", None) or {}, for_cluster)
    if config and (other := _first_difference(values, parameters)):
        raise UserError(f"{config}: {other}; take it out, or start a new run without --resume")
    return RunConfig(parameters, cluster, outdated)


def check_resumable(tracking_uri: str, parent_run_id: str, watch: Watch) -> None:
    """Refuses a run that cannot go on: it ended well, lives, ran elsewhere, or was trained by other code.

    One that has ended, but for MLflow, is ended there: `open_run` adopts no open run of another pipeline run.

    Raises:
        UserError: with the cure.
    """
    from ferkit.tracking import tree
    from ferkit.tracking.owner import owner_of
    from ferkit.tracking.store import connect

    client = connect(tracking_uri)
    run = client.get_run(parent_run_id)
    if run.info.status == "FINISHED":
        raise UserError(f"--resume: run {parent_run_id} ended well; there is nothing to resume")
    owner = owner_of(run)
    if owner is not None and owner.is_local:
        raise UserError(
            f"--resume: run {parent_run_id} ran on a single machine, where its state is; go on there with "
            f"ferpipe run --resume {parent_run_id}"
        )
    if run.data.tags.get(names.WEIGHTS_VERSION) != weights_version():
        commit = run.data.tags.get(names.GIT_COMMIT) or "unknown"
        raise UserError(
            f"--resume: run {parent_run_id} was trained by other code than this (commit {commit}); check that commit "
            "out and pass its images, or start a new run"
        )
    _check_ended(run, watch)
    if tree.is_open(run) and (outcome := watch.outcome_of(pipeline_run_of(run))):
        end(client, run, outcome)


def _check_ended(run: Run, watch: Watch) -> None:
    from ferkit.tracking import tree

    pipeline_run_id = pipeline_run_of(run)
    state = watch.state_of(pipeline_run_id) if pipeline_run_id else None
    if state is not None and state not in ENDED:
        raise UserError(
            f"--resume: run {run.info.run_id} lives: its pipeline run {pipeline_run_id} is {state}; wait for it, or "
            "terminate it first"
        )
    if state is None and tree.is_open(run):
        raise UserError(
            f"--resume: run {run.info.run_id} is open, and this Kubeflow does not know its pipeline run "
            f"{pipeline_run_id or '(it has none)'}; use the --host and --namespace that it runs on"
        )


def _first_difference(values: dict[str, Any], parameters: Parameters) -> str:
    """The first parameter of a config file that is not the run's own; empty when there is none."""
    logged, own = Parameters.parse(values).dump(), parameters.dump()
    for key in values:
        names_here = [(key, inner) for inner in values[key] or {}] if key in SECTIONS else [(key,)]
        for path in names_here:
            there, here = logged, own
            for part in path:
                there, here = there.get(part), here.get(part)
                if not isinstance(there, dict) or not isinstance(here, dict):
                    break
            if there != here:
                return f"{'.'.join(path)} is {there!r} there and {here!r} in the run, which keeps its own parameters"
    return ""
