"""Reaching MLflow: one way for all steps, on SQLite and on a server."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow

from ferkit.errors import OutOfReach, UserError
from ferkit.store_errors import explain, is_out_of_reach
from ferkit.tracking.patience import OF_A_PERSON, OF_A_RUN, patience

SQLITE = "sqlite:///"
LONGEST_TAG = 5000
"""Characters of a tag of a run or a version, in MLflow 3.17."""

_SETTINGS = {
    **OF_A_RUN,
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
    # It logs an error of the database with all that SQLAlchemy says, and raises it: a sentence is made of that.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    prepare_store(tracking_uri)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    return mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def check_answers(client: mlflow.MlflowClient, tracking_uri: str) -> None:
    """Sends MLflow a small request, so that a server that is down, or refuses access, is known before any work.

    Raises:
        OutOfReach: it does not answer, or refuses.
        UserError: what answers is no MLflow.
    """
    if sqlite_path(tracking_uri) is not None:
        return
    try:
        with patience(OF_A_PERSON):
            client.search_experiments(max_results=1)
    except mlflow.MlflowException as error:
        kind = OutOfReach if is_out_of_reach(error) else UserError
        raise kind(explain(error, tracking_uri)) from None


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
        raise UserError(f"{path}: no MLflow store can be made there ({error}); use another tracking address") from error


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
