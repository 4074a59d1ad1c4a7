"""The images, built once for all tests of containers; and the services they talk to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "services")]

from engine import Built, Missing, build_images, ensure_engine  # noqa: E402


@pytest.fixture(scope="session")
def images() -> Built:
    """Both images, built from this tree."""
    try:
        ensure_engine()
        return build_images()
    except Missing as missing:
        pytest.exit(str(missing), returncode=1)
