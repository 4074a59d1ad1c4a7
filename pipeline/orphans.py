"""What `ferpipe submit` does in MLflow: names candidates, and ends runs whose exit handler could not.

The address is the one that the cluster's pods use. Where it does not answer from here, which a look of three seconds
tells, nothing is named and nothing is closed; MLflow's own client would try for a minute.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import requests

from ferkit.tracking import names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from pipeline.watch import RunOutcome

STATUS = {"SUCCEEDED": "FINISHED", "CANCELED": "KILLED"}
"""MLflow's status by how a pipeline run ended. Any other end is FAILED."""


def answers(tracking_uri: str, seconds: float = 3.0) -> bool:
    """Whether a server answers there, well or badly."""
    try:
        return requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=seconds).status_code < 500
    except requests.RequestException:
        return False


class Candidates:
    """What MLflow says of a run's candidates; nothing from the first time on that it does not answer."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._names: dict[str, str] = {}
        self._silent = False

    def name(self, run_id: str) -> str:
        """The name of a candidate; empty where it is not known."""
        if run_id not in self._names and (run := self._run(run_id)) is not None:
            self._names[run_id] = run.info.run_name or ""
        return self._names.get(run_id, "")

    def failure(self, run_id: str) -> str:
        """The sentence with which a candidate failed while its step, and the run, went on; empty for all others."""
        run = self._run(run_id)
        if run is None or run.data.tags.get(names.STATE) != names.State.FAILED:
            return ""
        return run.data.tags.get(names.FAILURE, "for a reason that MLflow does not have")

    def _run(self, run_id: str) -> Run | None:
        from mlflow import MlflowException

        if self._silent or not self._client:
            return None
        try:
            return self._client.get_run(run_id)
        except MlflowException:
            self._silent = not answers(self._tracking_uri)
            return None

    @functools.cached_property
    def _client(self) -> MlflowClient | None:
        from ferkit.tracking.store import connect

        return connect(self._tracking_uri) if answers(self._tracking_uri) else None


def close_orphan(tracking_uri: str, experiment: str, run_id: str, outcome: RunOutcome) -> None:
    """Ends the MLflow runs of a pipeline run that ended badly, if its exit handler did not, and says there why.

    The handler is told neither why a step failed nor that the run was terminated: the failing step's sentence, and
    KILLED in place of FAILED, come from here.

    Args:
        tracking_uri: the pods' MLflow.
        experiment: that the run logs to.
        run_id: of the pipeline run.
        outcome: how it ended.
    """
    from mlflow import MlflowException

    from ferkit.tracking import tree
    from ferkit.tracking.failure import say_failed
    from ferkit.tracking.owner import Owner
    from ferkit.tracking.store import connect

    if not answers(tracking_uri):
        return
    with contextlib.suppress(MlflowException):
        client = connect(tracking_uri)
        parent = tree.find_parent(client, Owner(run_id), experiment, "")
        if parent is None:
            return
        status, ended = STATUS.get(outcome.state, "FAILED"), parent.info.end_time
        if tree.is_open(parent):
            end(client, parent, outcome)
        elif (parent.info.status, status) == ("FAILED", "KILLED"):
            client.set_terminated(parent.info.run_id, status, ended)
        elif (parent.info.status, status) == ("FAILED", "FAILED") and outcome.why:
            say_failed(client, parent.info.run_id, outcome.why)


def close_orphans(tracking_uri: str, experiment: str, outcome_of: Callable[[str], RunOutcome | None]) -> int:
    """Ends the MLflow runs of all pipeline runs that the backend says have ended, such as those terminated in its UI.

    Args:
        tracking_uri: the pods' MLflow.
        experiment: that is looked through.
        outcome_of: how a pipeline run of the backend ended, by its id; None for one that runs or is not known there.

    Returns:
        How many pipeline runs were closed.
    """
    from mlflow import MlflowException

    from ferkit.tracking import tree
    from ferkit.tracking.store import connect

    closed = 0
    if not answers(tracking_uri):
        return closed
    with contextlib.suppress(MlflowException):
        client = connect(tracking_uri)
        found = client.get_experiment_by_name(experiment)
        for parent in tree.open_parents(client, found.experiment_id) if found else []:
            run_id = pipeline_run_of(parent)
            if run_id and (outcome := outcome_of(run_id)):
                end(client, parent, outcome)
                closed += 1
    return closed


def pipeline_run_of(parent: Run) -> str:
    """The Kubeflow run that owns a parent run; empty for one that a command on some machine owns."""
    from ferkit.tracking.owner import owner_of

    owner = owner_of(parent)
    if owner is None:
        return parent.data.tags.get(names.PIPELINE_RUN_ID, "")
    return "" if owner.is_local else owner.id


def end(client: MlflowClient, parent: Run, outcome: RunOutcome) -> None:
    """Ends a parent run, and what is open under it, as its pipeline run ended."""
    from ferkit.tracking import tree

    status = STATUS.get(outcome.state, "FAILED")
    failure = "" if status == "FINISHED" else outcome.why or f"pipeline run {outcome.state.lower()}"
    tree.close_tree(client, parent, status, failure)
