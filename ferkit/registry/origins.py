"""Where a version came from, as its run says it. (The first releases said it in tags of the version.)"""

from __future__ import annotations

from typing import Final

import mlflow
from mlflow.entities import Run
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
    run = _run_of(client, version)
    return run.data.tags.get(MLFLOW_PARENT_RUN_ID, "") if run else ""


def keeper_of_training_faces(client: mlflow.MlflowClient, version: Version) -> str:
    """Id of the run that keeps the digests of the faces that a version was trained on; empty where none is known."""
    return version.tags.get(_TRAINING_FACES) or pipeline_run_of(client, version) or version.run_id


def test_digest_of(client: mlflow.MlflowClient, version: Version) -> str:
    """Content digest of the test split that a version was evaluated on; empty where that is not known.

    Raises:
        OutOfReach: it was evaluated, and the file that says so cannot be read.
    """
    if told := version.tags.get(_TEST_DIGEST):
        return told
    run = _run_of(client, version)
    evaluation = read_evaluation(run) if run else None
    return evaluation.splits["test"].digest if evaluation and "test" in evaluation.splits else ""


def _run_of(client: mlflow.MlflowClient, version: Version) -> Run | None:
    """The run that a version was registered from; None where it is not here."""
    if not version.run_id:
        return None
    try:
        return client.get_run(version.run_id)
    except mlflow.MlflowException as error:
        if is_missing(error):
            return None
        raise
