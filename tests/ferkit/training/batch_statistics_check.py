"""Run under each backend in a process of its own: prints `<backend> exact`, or fails with what differs.

A layer's statistics are those of the batches it is shown, and a training that has its average's statistics measured
goes through the same weights as one that has not.
"""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from typing import Any

import keras
import numpy as np

from ferkit.data import Faces
from ferkit.training.batch_statistics import BatchStatistics
from ferkit.training.candidate import parse_candidate
from ferkit.training.hardware import choose

BACKEND = keras.backend.backend()
rng = np.random.default_rng(0)

# One batch norm after a factor of 3: its statistics are those of the batches, nine times their variance.
sent = keras.Input((4,))
layer = keras.layers.BatchNormalization(momentum=0.9)
tripled = keras.layers.Dense(4, use_bias=False, kernel_initializer=keras.initializers.Identity(3.0))
network: Any = keras.Model(sent, keras.layers.Dropout(0.5)(layer(tripled(sent))))
model: Any = keras.Model(sent, network(sent))
model.compile()
batches = rng.normal(1, 2, (3, 8, 4)).astype(np.float32)
layer.moving_mean.assign(np.full(4, 7, np.float32))
before = [np.array(value) for value in network.get_weights()]
statistics = BatchStatistics(model, network, [], list(batches))
for _ in range(2):  # the second time from where the first one left
    with statistics.measured():
        mean, variance = (np.asarray(value) for value in (layer.moving_mean, layer.moving_variance))
    np.testing.assert_allclose(mean, 3 * batches.mean(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(variance, 9 * batches.var(axis=1).mean(axis=0), rtol=1e-4)
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
assert len(before) == len(network.get_weights()) == 5
state = [np.asarray(variable) for variable in network.non_trainable_variables]
assert len(state) == 3, "mean, variance and the seed generator of dropout"

n = 100
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
    "batch_size": 16,
    "epochs": 3,
    "ema_horizon": 0.5,
    "patience": 0,
}
pieces = {"crop_size": 10, "random_erasing": 0.5, "mixup": 0.2, "precision": "float32", "backend": BACKEND}
given = {**sizes, **pieces}
hardware = choose(parse_candidate(given, {}).train)

from ferkit.training.fit import fit  # noqa: E402  (imports keras)


class Kept:
    """A store that keeps the last state."""

    def load(self) -> None:
        return None

    def save(self, state: Any) -> None:
        self.state = state


states = {}
for measured in (True, False):
    store: Any = Kept()
    trained = fit(parse_candidate({**given, "precise_batch_norm": measured}, {}), faces, faces, hardware, store=store)
    states[measured] = store.state, trained.network.get_weights()
now = [{key: value for key, value in state.arrays.items() if key.startswith("now/")} for state, _ in states.values()]
assert now[0].keys() == now[1].keys()
assert all(np.array_equal(value, now[1][key]) for key, value in now[0].items()), "measuring changed the training"
figures = [[epoch["val/loss"] for epoch in state.history] for state, _ in states.values()]
assert figures[0] != figures[1], "what was measured was not scored"
print(BACKEND, "exact")
