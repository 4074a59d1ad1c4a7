"""Ends the parent run as the pipeline run ended, whatever happened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import mlflow

from components.close_run.webhook import ADDRESS_VARIABLE, FORM_VARIABLE, form_of, post_outcome
from components.tracking import names, runs

STATUS: Final = {"SUCCEEDED": "FINISHED", "COMPLETE": "FINISHED", "CANCELLED": "KILLED", "CANCELED": "KILLED"}
"""MLflow's status for kfp's: SUCCEEDED is said by the local runner, COMPLETE by the backend. Any other is FAILED."""


@dataclass(frozen=True)
class Ending:
    """How a pipeline run ended.

    Attributes:
        pipeline_run_id: Kubeflow's id of it.
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

    def __str__(self) -> str:
        where = f"MLflow run {self.run_id}" if self.run_id else "no MLflow run was opened"
        return f"{where}: {self.status}{f' ({self.failure})' if self.failure else ''}"


def close_run(client: mlflow.MlflowClient, pipeline_run_id: str, state: str, reason: str = "") -> Ending:
    """Ends the parent run, found by its tag, and every candidate's run that is still open.

    Args:
        client: of the MLflow that holds the run.
        pipeline_run_id: Kubeflow's id of the pipeline run.
        state: how it ended, in kfp's words.
        reason: what kfp says about a failure; a step that left its own sentence goes before it.
    """
    status = STATUS.get(state, "FAILED")
    failure = "" if status == "FINISHED" else reason or f"the pipeline run ended as {state}"
    parent = runs.find_parent(client, pipeline_run_id)
    if parent is None:
        return Ending(pipeline_run_id, "", status, failure)
    if failure:
        failure = parent.data.tags.get(names.FAILURE, failure)
    runs.close_tree(client, parent, status, failure)
    return Ending(pipeline_run_id, parent.info.run_id, status, failure, parent.data.tags.get("gate.verdict", ""))


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
