"""Where a version came from, as its run says it. (The first releases said it in tags of the version.)"""

from __future__ import annotations

from typing import Final

import mlflow
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.metrics.evaluation import read_evaluation
from ferkit.registry.versions import Version, is_missing

_PIPELINE_RUN: Final = "pipeline.mlflow_run_id"
_TRAINING_FACES: Final = "data.training_faces"
_TEST_DIGEST: Final = "data.test_digest"


def pipeline_run_of(client: mlflow.MlflowClient, version: Version) -> str:
    """Id of the pipeline run that a version came from; empty where there is none, or the version's run is not here."""
    if told := version.tags.get(_PIPELINE_RUN):
        return told
    if not version.run_id:
        return ""
    try:
        return client.get_run(version.run_id).data.tags.get(MLFLOW_PARENT_RUN_ID, "")
    except mlflow.MlflowException as error:
        if is_missing(error):
            return ""
        raise


def keeper_of_training_faces(client: mlflow.MlflowClient, version: Version) -> str:
    """Id of the run that keeps the digests of the faces that a version was trained on; empty where none is known."""
    return version.tags.get(_TRAINING_FACES) or pipeline_run_of(client, version) or version.run_id


def test_digest_of(version: Version) -> str:
    """Content digest of the test split that a version was evaluated on; empty where that is not known."""
    if told := version.tags.get(_TEST_DIGEST):
        return told
    evaluation = read_evaluation(version.run_id) if version.run_id else None
    return evaluation.splits["test"].digest if evaluation and "test" in evaluation.splits else ""
