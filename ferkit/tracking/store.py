"""Reaching MLflow: one way for all steps, on SQLite and on a server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow

from ferkit.errors import UserError

SQLITE = "sqlite:///"

_SETTINGS = {
    # An unreachable server blocks a client for 4 minutes with MLflow's defaults; half a minute bridges a restart.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # a server's, into the middle of --json
    "GIT_PYTHON_REFRESH": "quiet",
}
_OTHERS_RUN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
_PLUGINS_EXPERIMENT = "FERPIPE_PLUGINS_EXPERIMENT_ID"


def connect(tracking_uri: str) -> mlflow.MlflowClient:
    """Points MLflow, fluent and client, at `tracking_uri` for the rest of this process.

    The variables that name a run or an experiment are taken out of the environment: on a Kubeflow backend with the
    MLflow plugin they name the TASK's own run, which is closed when the task ends, and child processes would adopt it.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if experiment_id := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        os.environ[_PLUGINS_EXPERIMENT] = experiment_id
    for name in _OTHERS_RUN:
        os.environ.pop(name, None)
    prepare_store(tracking_uri)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    return mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def plugins_experiment_id() -> str:
    """The experiment that Kubeflow's MLflow plugin named in the environment before `connect`; empty without it.

    A run that somebody starts in Kubeflow's UI is opened in the plugin's own experiment, whatever the pipeline is told.
    """
    return os.environ.get(_PLUGINS_EXPERIMENT, "")


def prepare_store(tracking_uri: str) -> None:
    """Makes the schema of a fresh SQLite store (4 s); a store that exists, or a server, is left alone.

    Four processes that open a fresh SQLite file at once corrupt it for good. So the schema is made in a file of its
    own, which then gets the store's name: whole or not at all, and whoever comes second keeps the first one's.

    Raises:
        UserError: the file cannot be made there.
    """
    path = sqlite_path(tracking_uri)
    if path is None or path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as folder:
            fresh = Path(folder) / path.name
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"{SQLITE}{fresh}"]
            subprocess.run(command, check=True, capture_output=True, text=True)
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"{path}: no MLflow store can be made there ({error}); give another tracking address"
        ) from error


def sqlite_path(tracking_uri: str) -> Path | None:
    """The file of a `sqlite:///` address (settings such as `?timeout=60` left out), or None for any other store."""
    if not tracking_uri.startswith(SQLITE):
        return None
    return Path(tracking_uri.removeprefix(SQLITE).partition("?")[0]).absolute()


def artifact_location(tracking_uri: str) -> str | None:
    """Where a new experiment keeps its files: beside a SQLite store; a server decides for itself (None).

    MLflow's default for SQLite is `./mlruns` of whichever process makes the experiment, so it is said in full.
    """
    path = sqlite_path(tracking_uri)
    return (path.parent / "mlruns").as_uri() if path else None
