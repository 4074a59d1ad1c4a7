"""Run under each backend in a process of its own: prints `<backend> exact`, or fails with what differs."""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

from ferkit.networks.mixup import Mixup, draw_shares, mix_targets

faces = np.stack([np.full((2, 2), level, np.float32) for level in (0, 100, 200)])
shares = np.array([1.0, 0.75, 0.5], np.float32)
blend = np.asarray(Mixup()(faces, shares, training=True))
np.testing.assert_array_equal(blend[:, 0, 0], [0, 75, 150])  # with the one before: 200, 0, 100
np.testing.assert_array_equal(blend, np.broadcast_to(blend[:, :1, :1], (3, 2, 2)))
np.testing.assert_array_equal(np.asarray(Mixup()(faces, shares, training=False)), faces)

# Two batches of three, so that no face is blended with one of another batch.
targets = np.eye(7, dtype=np.float32)[[0, 1, 2, 3, 4, 5]]
shares = np.array([1.0, 0.75, 0.5, 0.0, 0.25, 1.0], np.float32)
mixed, none = mix_targets(targets, None, shares, batch=3)
assert none is None
wanted = np.zeros((6, 7), np.float32)
for face, (other, share) in enumerate(zip([2, 0, 1, 5, 3, 4], shares, strict=True)):
    wanted[face, face] += share
    wanted[face, other] += 1 - share
np.testing.assert_array_equal(mixed, wanted)

# The loss of a blend is the loss of its two faces, each with its weight.
weights = np.array([1, 2, 4, 1, 2, 4], np.float32)
mixed, total = mix_targets(targets, weights, shares, batch=3)
assert total is not None
np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)
losses = np.random.default_rng(0).uniform(size=(6, 7))
each = (targets * losses).sum(axis=1) * weights
before = each[[2, 0, 1, 5, 3, 4]] * 0
for face, other in enumerate([2, 0, 1, 5, 3, 4]):
    before[face] = weights[other] * (losses[face] * targets[other]).sum()
np.testing.assert_allclose(total * (mixed * losses).sum(axis=1), shares * each + (1 - shares) * before, rtol=1e-6)

one, again, other = (draw_shares(0.2, 20_000, 0, epoch) for epoch in (1, 1, 2))
np.testing.assert_array_equal(one, again)
assert not np.array_equal(one, other)
assert one.dtype == np.float32
assert 0.49 < one.mean() < 0.51
assert abs(one.var() - 0.25 / 1.4) < 0.005, "Beta(a, a) has variance 1 / (4 (2 a + 1))"
print(keras.backend.backend(), "exact")
