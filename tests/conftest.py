"""Data that many tests use, made once per session."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def sample_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn CSV of 700 faces, faults included."""
    from components.sample import draw_csv

    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    draw_csv(path, faces=700, seed=0)
    return path


@pytest.fixture(scope="session")
def sample_faces(sample_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set folder that ingest makes of `sample_csv`."""
    from components.ingest.ingest import ingest_csv
    from components.ingest.parameters import Ingest

    folder = tmp_path_factory.mktemp("faces") / "faces"
    ingest_csv(str(sample_csv), folder, Ingest())
    return folder


@pytest.fixture(scope="session")
def real_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The development edition of FER2013, uncompressed; skips where it is absent (no part of it is in the repository)."""
    packed = Path(os.environ.get("FER2013_DEV_CSV", ROOT.parent / "shared" / "fer2013" / "fer2013-dev.csv.gz"))
    if not packed.exists():
        pytest.skip("FER2013 is not here: set FER2013_DEV_CSV to a copy of its CSV")
    if packed.suffix != ".gz":
        return packed
    path = tmp_path_factory.mktemp("fer2013") / "fer2013-dev.csv"
    with gzip.open(packed) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return path
