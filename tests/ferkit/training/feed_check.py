"""Run under each backend: what a network becomes does not depend on where its training faces lie, averages and all.

It also asserts that training loads neither MLflow nor Kubeflow, and on JAX no TensorFlow.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from ferkit.data import Faces
from ferkit.training.candidate import parse_candidate
from ferkit.training.hardware import choose

rng = np.random.default_rng(0)
n = 100  # three batches of 32, and four faces left over
faces = Faces(
    row=np.arange(n, dtype=np.int32),
    emotion=rng.integers(0, 7, n).astype(np.uint8),
    pixels=rng.integers(0, 256, (n, 12, 12)).astype(np.uint8),
    technique=np.array(["original"] * n, object),
    in_train=np.zeros(n, bool),
)
sizes = {
    "architecture": "lenet",
    "filters": [8],
    "dense": 8,
    "batch_size": 32,
    "epochs": 3,
    "ema_horizon": 0.5,
    "mixup": 0.2,
}
given: dict[str, Any] = {**sizes, "backend": os.environ["KERAS_BACKEND"]}
device, host = (parse_candidate({**given, "dataset_placement": place}, {}) for place in ("device", "host"))
hardware = choose(device.train)

from ferkit.training.dataset_placement import OnDevice, OnHost, place_dataset  # noqa: E402  (imports keras)
from ferkit.training.fit import fit  # noqa: E402

assert isinstance(place_dataset(faces.pixels, device.train, hardware), OnDevice)
assert isinstance(place_dataset(faces.pixels, host.train, hardware), OnHost)
weights = np.linspace(0.5, 1.5, 7, dtype=np.float32)
one, other = (fit(candidate, faces, faces, hardware, weights=weights) for candidate in (device, host))
assert all(np.array_equal(a, b) for a, b in zip(one.network.get_weights(), other.network.get_weights(), strict=True))
figures = ("train/loss", "train/accuracy", "val/loss")
assert [[epoch[name] for name in figures] for epoch in one.history] == [
    [epoch[name] for name in figures] for epoch in other.history
]
loaded = {"mlflow", "kfp", *(["tensorflow"] if given["backend"] == "jax" else [])} & set(sys.modules)
assert not loaded, loaded
print(given["backend"], "equal")
