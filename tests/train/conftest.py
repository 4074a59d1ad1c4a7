"""Small faces that tests train on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ferkit.data import Faces

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def stripes() -> Faces:
    """140 faces of 24x24 pixels, an emotion each its own angle of stripes: told apart in a few epochs."""
    rng = np.random.default_rng(0)
    emotion = np.repeat(np.arange(7, dtype=np.uint8), 20)
    row, column = np.mgrid[:24, :24]
    angle = (emotion * np.pi / 7)[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, len(emotion))[:, None, None]
    waves = np.sin((row * np.cos(angle) + column * np.sin(angle)) * 1.2 + phase)
    pixels = (128 + 90 * waves + rng.normal(0, 10, waves.shape)).clip(0, 255).astype(np.uint8)
    mixed = rng.permutation(len(emotion))
    return Faces(
        row=np.arange(len(emotion), dtype=np.int32),
        emotion=emotion[mixed],
        pixels=pixels[mixed],
        technique=np.array(["original"] * len(emotion), object),
        in_train=np.zeros(len(emotion), bool),
    )


@pytest.fixture
def no_gpu() -> None:
    """Skips where there is a GPU."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")


@pytest.fixture(params=["tensorflow", "jax"])
def passes(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Runs a script of this folder, that must end by printing its backend and a word, under each backend."""

    def run(script: str, word: str) -> None:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(script))],
            env=os.environ | {"KERAS_BACKEND": request.param},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.split()[-2:] == [request.param, word]

    return run
