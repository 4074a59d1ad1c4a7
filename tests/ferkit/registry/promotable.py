"""Versions that the gate has judged, with no model behind them: promotion never loads one."""

from __future__ import annotations

from collections.abc import Callable

import mlflow
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.registry import versions
from ferkit.tracking import names, tree

AddVersion = Callable[..., str]


def add_version_to(client: mlflow.MlflowClient, compared_with: str, status: str, challenger: bool = False) -> str:
    versions.ensure_registered_model(client)
    experiment_id = tree.experiment_id(client, names.EXPERIMENT)
    parent = client.create_run(experiment_id, tags={names.RUN_KIND: "pipeline"})
    told = {MLFLOW_PARENT_RUN_ID: parent.info.run_id}
    run = client.create_run(experiment_id, tags=told, run_name="lenet-tuned-s0")
    tags = {
        names.VALIDATION_STATUS: status,
        names.VALIDATION_REASONS: "recall of disgust 0.055 is below the floor of 0.15",
        names.COMPARED_WITH: compared_with,
    }
    found = client.create_model_version(names.REGISTERED_MODEL, "s3://nowhere/model", run.info.run_id, tags=tags)
    if challenger:
        client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHALLENGER, str(found.version))
    return str(found.version)
