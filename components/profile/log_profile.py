"""What profiling leaves in MLflow: the pictures and tables, the data's identity, the splits as inputs."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from components.profile.profile_data import Findings
from components.tracking import names
from components.tracking.runs import log_split, writing_to

FOLDER = "profile"
CONTEXTS = {"train": "training", "validation": "validation", "test": "testing"}


def log_profile(client: MlflowClient, run_id: str, findings: Findings, folder: Path) -> None:
    """Logs the files of `folder` under `profile/`, the data's sha256 and digest as tags, its splits as inputs."""
    client.set_tag(run_id, names.DATA_SHA256, findings.before.source.get("sha256", "unknown"))
    client.set_tag(run_id, names.DATA_DIGEST, findings.after.digest)
    with writing_to(run_id):
        for split, context in CONTEXTS.items():
            log_split(findings.after, split, context)
    client.log_artifacts(run_id, str(folder), FOLDER)
