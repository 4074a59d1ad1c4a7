"""What MLflow made twice: the reply to its making was lost, and MLflow's client asked again."""

from __future__ import annotations

from collections.abc import Iterable

import mlflow
from mlflow.entities import LoggedModelStatus, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.store_errors import StoreError, classify
from ferkit.tracking import names

DOUBLED = "made twice by a lost reply; not used"


def discard_runs(client: mlflow.MlflowClient, runs: Iterable[Run]) -> None:
    """Puts runs into the trash; who may not do that ends them, and takes them out of the run tree."""
    for run in runs:
        run_id = run.info.run_id
        try:
            client.delete_run(run_id)
        except mlflow.MlflowException as error:
            if classify(error) is not StoreError.REFUSED:
                raise
            for tag in (names.RUN_KIND, names.OWNER, names.PIPELINE_RUN_ID, MLFLOW_PARENT_RUN_ID):
                if tag in run.data.tags:
                    client.delete_tag(run_id, tag)
            client.set_tag(run_id, names.FAILURE, DOUBLED)
            client.set_terminated(run_id, status="KILLED")


def discard_other_models(client: mlflow.MlflowClient, run: Run, model_id: str) -> None:
    """Removes a run's logged models but for one; who may not do that ends those that are not ready as failed.

    They are of a reply that was lost, or of a training that was killed while it logged its model.
    """
    query = f"source_run_id = '{run.info.run_id}'"
    for model in client.search_logged_models([run.info.experiment_id], filter_string=query):
        if model.model_id == model_id:
            continue
        try:
            client.delete_logged_model(model.model_id)
        except mlflow.MlflowException as error:
            if classify(error) is not StoreError.REFUSED:
                raise
            if model.status == LoggedModelStatus.PENDING:
                client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


def discard_versions(client: mlflow.MlflowClient, model: str, numbers: Iterable[str]) -> None:
    """Removes versions of a registered model; who may not do that says in them what they are."""
    for number in numbers:
        try:
            client.delete_model_version(model, number)
        except mlflow.MlflowException as error:
            if classify(error) is not StoreError.REFUSED:
                raise
            client.update_model_version(model, number, description=DOUBLED)
