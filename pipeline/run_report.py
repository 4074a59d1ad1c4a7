"""Where a pipeline run's report is, and a copy of it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from components.register.log_report import REPORT
from ferkit.errors import UserError


def local_report(run: Run) -> Path | None:
    """A pipeline run's report, where MLflow keeps it on this machine; None where it has none, or keeps it elsewhere."""
    place = urlsplit(run.info.artifact_uri or "")
    if place.scheme not in ("", "file"):
        return None
    path = Path(unquote(place.path)) / REPORT
    return path if path.is_file() else None


def fetch_report(client: mlflow.MlflowClient, run: Run, folder: Path) -> Path:
    """The path of a pipeline run's report: where MLflow keeps it, else a copy in `folder`.

    Args:
        client: of the MLflow that holds the run.
        run: the pipeline run, or one of its candidates.
        folder: made where it is not there.

    Returns:
        Path of an HTML file; a copy is called `report-<first 8 characters of the run's id>.html`.

    Raises:
        UserError: the run has no report.
    """
    if parent_id := run.data.tags.get(MLFLOW_PARENT_RUN_ID):
        run = client.get_run(parent_id)
    if (path := local_report(run)) is not None:
        return path
    run_id = run.info.run_id
    if all(file.path != REPORT for file in client.list_artifacts(run_id)):
        ended = "its candidates were not registered" if run.info.status != "RUNNING" else "it has not come so far yet"
        raise UserError(f"run {run_id} ({run.info.run_name}) has no report: {ended}; `ferpipe show {run_id[:8]}`")
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"report-{run_id[:8]}.html"
    fetched = Path(download_artifacts(run_id=run_id, artifact_path=REPORT, dst_path=str(folder)))
    fetched.replace(copy)
    return copy
