"""A registry to promote in: versions with verdicts and no models behind them, which promotion never loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from promotable import AddVersion, add_version_to

from ferkit.registry.verdict import APPROVED, NO_CHAMPION
from ferkit.tracking.store import connect


@pytest.fixture
def tracking_uri(new_store: Callable[[Path], str], tmp_path: Path) -> str:
    return new_store(tmp_path)


@pytest.fixture
def client(tracking_uri: str) -> mlflow.MlflowClient:
    return connect(tracking_uri)


@pytest.fixture
def add_version(client: mlflow.MlflowClient) -> AddVersion:
    """Registers a version as the gate leaves it, and returns its number."""

    def add(compared_with: str = NO_CHAMPION, status: str = APPROVED, challenger: bool = False) -> str:
        return add_version_to(client, compared_with, status, challenger)

    return add
