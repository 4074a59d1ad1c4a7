"""What training's tests share: an MLflow of their own, and the data set that is learnt in a few epochs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from ferkit.tracking.store import connect


@pytest.fixture(scope="module")
def client(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    return connect(new_store(tmp_path_factory.mktemp("mlflow")))


@pytest.fixture(scope="module")
def folder(stripes_folder: Path) -> Path:
    return stripes_folder
