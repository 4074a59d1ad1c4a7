"""A registry to promote in: versions with verdicts and no models behind them, which promotion never loads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from components.register import registry
from components.register.verdict import APPROVED, NO_CHAMPION
from components.tracking import names, runs
from components.tracking.store import connect, prepare_store

AddVersion = Callable[..., str]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with MLflow's schema and nothing in it; making one takes four seconds, copying it none."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    prepare_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def tracking_uri(empty_store: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"


@pytest.fixture
def client(tracking_uri: str) -> mlflow.MlflowClient:
    return connect(tracking_uri)


@pytest.fixture
def add_version(client: mlflow.MlflowClient) -> AddVersion:
    """Registers a version as the gate leaves it, and returns its number."""

    def add(compared_with: str = NO_CHAMPION, status: str = APPROVED, challenger: bool = False) -> str:
        return add_version_to(client, compared_with, status, challenger)

    return add


def add_version_to(client: mlflow.MlflowClient, compared_with: str, status: str, challenger: bool = False) -> str:
    registry.ensure_registered_model(client)
    experiment_id = runs.experiment_id(client, names.EXPERIMENT)
    parent = client.create_run(experiment_id, tags={names.RUN_KIND: "pipeline"})
    run = client.create_run(experiment_id, run_name="lenet-tuned-s0")
    tags = {
        names.VALIDATION_STATUS: status,
        names.VALIDATION_REASONS: "recall of disgust 0.055 is below the floor of 0.15",
        names.COMPARED_WITH: compared_with,
        registry.PARENT_RUN: parent.info.run_id,
    }
    found = client.create_model_version(registry.MODEL, "s3://nowhere/model", run.info.run_id, tags=tags)
    if challenger:
        client.set_registered_model_alias(registry.MODEL, names.CHALLENGER, str(found.version))
    return str(found.version)
