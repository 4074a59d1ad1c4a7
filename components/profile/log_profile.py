"""What profiling leaves in MLflow: the pictures and tables, the data's identity, the splits as inputs."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from mlflow import MlflowClient

from components.profile.profile_data import profile_data
from ferkit.data import read_profile
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import active_run, names
from ferkit.tracking.store import LONGEST_TAG

FOLDER = "profile"
CONTEXTS = {"train": "training", "validation": "validation", "test": "testing"}

PROBLEM = "profile.problem"
"""Tag of a parent run: why there is no profile."""


def log_profile(client: MlflowClient, run_id: str, faces: str, balanced: str, log: logging.Logger) -> None:
    """Logs the data's sha256 and digest as tags, its splits as inputs, and what was drawn under `profile/`.

    Args:
        client: of the MLflow that holds the run.
        run_id: the parent run.
        faces: data set folder of `ingest`.
        balanced: data set folder of `balance`.
        log: for the summary, or for the warning that nothing could be drawn.
    """
    after = read_profile(balanced)
    client.set_tag(run_id, names.DATA_SHA256, after.source.get("sha256", "unknown"))
    client.set_tag(run_id, names.DATA_DIGEST, after.digest)
    with active_run.writing_to(run_id):
        for split, context in CONTEXTS.items():
            active_run.log_dataset(after.address, split, after.splits[split]["digest"], context)
    with tempfile.TemporaryDirectory() as folder:
        try:
            findings = profile_data(faces, balanced, Path(folder))
        except Exception as error:
            if is_out_of_reach(error):
                raise
            problem = f"the data's profile could not be drawn: {type(error).__name__}: {' '.join(str(error).split())}"
            log.warning("%s", problem)
            log.debug("", exc_info=True)
            client.set_tag(run_id, PROBLEM, problem[:LONGEST_TAG])
            return
        client.log_artifacts(run_id, folder, FOLDER)
        log.info(findings.summary())
