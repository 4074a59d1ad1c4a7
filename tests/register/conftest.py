"""A registry to promote in: versions with verdicts and no models behind them, which promotion never loads."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import pytest
from promotable import AddVersion, add_version_to

from components.register.verdict import APPROVED, NO_CHAMPION
from components.tracking.store import connect, prepare_store


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
