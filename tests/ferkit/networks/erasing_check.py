"""Run under each backend in a process of its own: prints `<backend> exact`, or fails with what differs."""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from typing import Any

import keras
import numpy as np

from ferkit.networks.random_affine import RandomAffine
from ferkit.networks.random_erasing import RandomErasing, erase, size_rectangles

ops: Any = keras.ops


def tensor(values: Any) -> Any:
    return ops.convert_to_tensor(np.asarray(values, np.float32))


# A tenth of 40 x 40 is 160 pixels: 13 x 13 (169) as a square, 25 x 6 four times as high, cut to 40 where it is higher.
sizes = size_rectangles(tensor([0.1, 0.1, 0.1, 0.4, 1e-6]), tensor([1.0, 4.0, 0.25, 3.3, 1.0]), 40)
np.testing.assert_array_equal(np.asarray(sizes), [[13, 13], [25, 6], [6, 25], [40, 14], [1, 1]])

faces = np.arange(1, 49, dtype=np.float32).reshape(3, 4, 4)
noise = -faces
corner, size = tensor([[1, 2], [0, 0], [3, 0]]), tensor([[2, 1], [4, 4], [0, 0]])
erased = np.asarray(erase(tensor(faces), corner, size, tensor(noise)))
wanted = faces.copy()
wanted[0, 1:3, 2] *= -1
wanted[1] *= -1
np.testing.assert_array_equal(erased, wanted)

side = 40
layer = RandomErasing(0.5, seed=0)
corner, size = (np.asarray(array) for array in layer.draw_rectangles(20_000, side))
chosen = size[:, 0] > 0
assert 0.48 < chosen.mean() < 0.52, chosen.mean()
assert ((size == 0).sum(axis=1) != 1).all(), "half a size"
corner, size = corner[chosen], size[chosen]
assert (corner == np.floor(corner)).all()
assert (size == np.floor(size)).all()
assert (corner >= 0).all()
assert (corner + size <= side).all()
assert corner.min() == 0
assert (corner + size).max() == side
share = size.prod(axis=1) / side**2
inside = (size < side).all(axis=1)
assert 0.015 < share[inside].min() < 0.03, share[inside].min()
assert 0.38 < share.max() < 0.43, share.max()
high = (size[:, 0] > size[:, 1])[size[:, 0] != size[:, 1]]
assert 0.47 < high.mean() < 0.53, "high ones are not as likely ones"

grey = tensor(np.full((512, side, side), 300.0))  # a level that noise never has
np.testing.assert_array_equal(np.asarray(layer(grey, training=False)), np.asarray(grey))
one, two = np.asarray(layer(grey, training=True)), np.asarray(layer(grey, training=True))
assert one.shape == (512, side, side)
assert one.dtype == np.float32
assert not np.array_equal(one, two), "two draws are equal"
drawn = one[one != 300]
assert drawn.min() >= 0
assert drawn.max() <= 255
assert 120 < drawn.mean() < 135
assert abs((one != 300).any(axis=(1, 2)).mean() - 0.5) < 0.08
np.testing.assert_array_equal(np.asarray(RandomErasing(0.0, 0)(grey, training=True)), np.asarray(grey))
moves = RandomAffine(rotation=1, shift=0, shear=0, zoom=0, flip=True, seed=0).draws
ours = RandomErasing(0.5, seed=0).draws
assert not np.array_equal(np.asarray(moves.state), np.asarray(ours.state)), "erasing follows from moving"
print(keras.backend.backend(), "exact")
