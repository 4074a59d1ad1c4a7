"""Ends the parent run as the pipeline run ended, whatever happened."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

import mlflow
from mlflow.entities import Run

from components.close_run.webhook import ADDRESS_VARIABLE, FORM_VARIABLE, form_of, post_outcome
from ferkit.tracking import names, tree
from ferkit.tracking.owner import Owner, owner_of
from ferkit.tracking.store import plugins_experiment_id

SUCCEEDED: Final = ("SUCCEEDED", "COMPLETE")
"""How kfp says that all went well: the first is the local runner's, the second the backend's."""

CANCELED: Final = ("CANCELLED", "CANCELED", "CANCELING")

KFPS_PHRASE: Final = re.compile(r"Task \S+ failed\.")
"""What kfp's local runner says of every failure. It names its own exit handler."""


@dataclass(frozen=True)
class Ending:
    """How a pipeline run ended.

    Attributes:
        pipeline_run_id: Kubeflow's id of it; of a local run, its owner's.
        run_id: its parent run in MLflow; empty when none was opened.
        status: FINISHED, FAILED or KILLED.
        failure: the sentence with which it failed; empty when it did not.
        verdict: the gate's, when it came so far.
    """

    pipeline_run_id: str
    run_id: str
    status: str
    failure: str
    verdict: str = ""

    @property
    def status_of_run(self) -> str:
        """The run and its status, for people."""
        where = f"MLflow run {self.run_id}" if self.run_id else "no MLflow run was opened"
        return f"{where}: {self.status}"

    def __str__(self) -> str:
        return f"{self.status_of_run}{f' ({self.failure})' if self.failure else ''}"


def find_run(client: mlflow.MlflowClient, owner: Owner, parent_run_id: str, experiment: str) -> Run | None:
    """The parent run of this pipeline run; None when `open_run` did not come so far.

    An exit task may depend on no other task, so it is found by its owner in the experiment that the pipeline was told,
    or in the MLflow plugin's own; a run that was to be adopted by its id, if this owner has got it.
    """
    if not parent_run_id:
        return tree.find_parent(client, owner, experiment, plugins_experiment_id())
    parent = client.get_run(parent_run_id)
    present = owner_of(parent)
    return parent if present is not None and present.id == owner.id else None


def close_run(client: mlflow.MlflowClient, parent: Run | None, owner: Owner, state: str, reason: str = "") -> Ending:
    """Ends the parent run, and every candidate's run under it that is still open.

    What MLflow's own run tree says goes before what kfp says: a real backend hands no error text to an exit task, and
    often RUNNING for a state, of good runs and of bad ones.

    Args:
        client: of the MLflow that holds the run.
        parent: the pipeline run's.
        owner: of the pipeline run.
        state: how it ended, in kfp's words.
        reason: the failed step's sentence, or what kfp says about a failure; a sentence in MLflow goes before it.
    """
    if KFPS_PHRASE.fullmatch(reason):
        reason = ""
    completed = parent is not None and names.COMPLETED in parent.data.tags
    if completed or state in SUCCEEDED:
        status, failure = "FINISHED", ""
    elif state in CANCELED:
        status, failure = "KILLED", reason or "the pipeline run was terminated"
    else:
        status, failure = "FAILED", reason or _without_a_word(owner)
    if parent is None:
        return Ending(owner.id, "", status, failure)
    if failure:
        failure = parent.data.tags.get(names.FAILURE, failure)
    tree.close_tree(client, parent, status, failure)
    return Ending(owner.id, parent.info.run_id, status, failure, parent.data.tags.get(names.GATE_VERDICT, ""))


def _without_a_word(owner: Owner) -> str:
    if owner.is_local:
        return "a step ended without a word; see the log of the run"
    return f"a step ended without a word; see pipeline run {owner.id} in Kubeflow, or `kubectl describe` its pods"


def tell(ending: Ending) -> None:
    """Posts the ending to the webhook that a Secret names in the environment, if there is one."""
    if address := os.environ.get(ADDRESS_VARIABLE):
        outcome = {
            "status": ending.status,
            "run": ending.run_id,
            "pipeline_run": ending.pipeline_run_id,
            "verdict": ending.verdict,
            "failure": ending.failure,
        }
        post_outcome(address, outcome, form_of(address, os.environ.get(FORM_VARIABLE, "")))
