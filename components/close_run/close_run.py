"""Ends the parent run as the pipeline run ended, whatever happened."""

from __future__ import annotations

from typing import Final

import mlflow

from components.tracking import names, runs

STATUS: Final = {"SUCCEEDED": "FINISHED", "COMPLETE": "FINISHED", "CANCELLED": "KILLED", "CANCELED": "KILLED"}
"""MLflow's status for kfp's: SUCCEEDED is said by the local runner, COMPLETE by the backend. Any other is FAILED."""


def close_run(client: mlflow.MlflowClient, pipeline_run_id: str, state: str, reason: str = "") -> str:
    """Ends the parent run, found by its tag, and every candidate's run that is still open.

    Args:
        client: of the MLflow that holds the run.
        pipeline_run_id: Kubeflow's id of the pipeline run.
        state: how it ended, in kfp's words.
        reason: what kfp says about a failure; kept unless a step has already left its own sentence.

    Returns:
        One line for a person.
    """
    parent = runs.find_parent(client, pipeline_run_id)
    if parent is None:
        return f"no MLflow run was opened for pipeline run {pipeline_run_id}; nothing to close"
    status = STATUS.get(state, "FAILED")
    failure = "" if status == "FINISHED" else parent.data.tags.get(names.FAILURE) or reason or f"pipeline run {state}"
    runs.close_tree(client, parent, status, failure)
    return f"MLflow run {parent.info.run_id} {status}"
