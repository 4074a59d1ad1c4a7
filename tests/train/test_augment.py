"""Each move is exact on small arrays, and scipy agrees with their composition. Under every backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).with_name("moves_check.py")


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_every_move_is_exact_under(backend: str):
    done = subprocess.run(
        [sys.executable, str(CHECK)], env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-2:] == [backend, "exact"]
