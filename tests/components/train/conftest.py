"""What training's tests share: an MLflow of their own, and a data set that is learnt in a few epochs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest

from ferkit.data import Faces, Profile, SplitWriter, split_path, write_profile
from ferkit.tracking.store import connect


@pytest.fixture(scope="module")
def client(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    return connect(new_store(tmp_path_factory.mktemp("mlflow")))


@pytest.fixture(scope="module")
def folder(stripes: Faces, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    records = {}
    for split, rows in (("train", slice(0, 100)), ("validation", slice(100, 120)), ("test", slice(120, 140))):
        with SplitWriter(split_path(folder, split), stripes.side) as writer:
            writer.write(stripes.take(np.arange(140)[rows]))
        records[split] = writer.record()
    write_profile(folder, Profile({"sha256": "0" * 64, "csv": "stripes"}, stripes.side, records))
    return folder
