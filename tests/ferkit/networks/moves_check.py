"""Run under each backend in a process of its own: prints `<backend> exact`, or fails with the arrays that differ."""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from scipy import ndimage

from ferkit.networks.random_affine import RandomAffine, compose_maps, crop_maps, warp

FACE = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
RAMP = np.tile(np.arange(5, dtype=np.float32), (5, 1))  # each column its number
ops: Any = keras.ops


def moved(face: np.ndarray, rotation: float = 0.0, shift: Any = (0, 0), shear: float = 0.0, zoom: Any = (1, 1), flip=1):
    """`face` (side, side) by one map; `rotation` and `shear` in degrees."""
    columns = [np.radians([rotation]), [shift], np.radians([shear]), [zoom], [flip]]
    maps = compose_maps(*(ops.convert_to_tensor(np.array(column, np.float32)) for column in columns))
    return np.asarray(warp(ops.convert_to_tensor(face[None]), maps))[0]


def check(name: str, got: np.ndarray, wanted: Any, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(got, np.asarray(wanted, np.float32), atol=tolerance, err_msg=name)


check("no move", moved(FACE), FACE, 0)
check("flip", moved(FACE, flip=-1), FACE[:, ::-1], 0)
check("a quarter turn", moved(FACE, rotation=90), np.rot90(FACE, -1))
check("a half turn", moved(FACE, rotation=180), FACE[::-1, ::-1])
check("a pixel down, the last row again", moved(FACE, shift=(1, 0)), np.vstack([FACE[1:], FACE[3:]]), 0)
check("a pixel left, the first column again", moved(FACE, shift=(0, -1)), np.hstack([FACE[:, :1], FACE[:, :3]]), 0)
check("half a pixel is the mean of two", moved(RAMP, shift=(0, 0.5))[0], [0.5, 1.5, 2.5, 3.5, 4.0])
check("zoomed in twice, about the centre", moved(RAMP, zoom=(1, 0.5))[0], [1, 1.5, 2, 2.5, 3])
check("zoomed out twice, the border again", moved(RAMP, zoom=(1, 2))[0], [0, 0, 2, 4, 4])
check("sheared by half a pixel a column", moved(RAMP.T, shear=30)[2], [3.0, 2.5, 2.0, 1.5, 1.0])

# The composition is ImageDataGenerator's, which hands rotation @ shift @ shear @ zoom to scipy's affine_transform.
rng = np.random.default_rng(0)
face = rng.integers(0, 256, (48, 48)).astype(np.float32)
for rotation, shift, shear, zoom in [(17.0, (3.3, -2.1), 0.0, (1.1, 0.9)), (-11.0, (0.4, 5.0), 8.0, (0.85, 1.2))]:
    c, s, k = np.cos(np.radians(rotation)), np.sin(np.radians(rotation)), np.radians(shear)
    steps = [
        np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
        np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]),
        np.array([[1, -np.sin(k), 0], [0, np.cos(k), 0], [0, 0, 1]]),
        np.diag([*zoom, 1.0]),
    ]
    about_centre = np.array([[1, 0, 23.5], [0, 1, 23.5], [0, 0, 1]])
    whole = about_centre @ np.linalg.multi_dot(steps) @ np.linalg.inv(about_centre)
    wanted = ndimage.affine_transform(face, whole[:2, :2], whole[:2, 2], order=1, mode="nearest")
    check("as ImageDataGenerator", moved(face, rotation, shift, shear, zoom), wanted, 0.05)

# A window of a moved face is that part of the moved face, whatever the move and wherever the window.
for side, size in ((48, 40), (48, 41), (5, 2)):
    faces = ops.convert_to_tensor(rng.integers(0, 256, (3, side, side)).astype(np.float32))
    columns = ([0.3, 0, -0.1], [[2.5, -1], [0, 0], [-3, 4]], [0.1, 0, 0], [[1.1, 0.9], [1, 1], [0.8, 1.2]], [1, -1, 1])
    maps = compose_maps(*(ops.convert_to_tensor(np.array(column, np.float32)) for column in columns))
    last = side - size
    corners = np.array([[0, 0], [last, 1], [1, last]], np.int32)
    windows = warp(faces, crop_maps(maps, ops.convert_to_tensor(corners), side, size), size)
    whole = np.asarray(warp(faces, maps))
    wanted = [face[row : row + size, left : left + size] for face, (row, left) in zip(whole, corners, strict=True)]
    check("a window is cut out of the moved face", np.asarray(windows), wanted, 0.01)
still = np.tile(np.float32([[1, 0, 0], [0, 1, 0]]), (1, 1, 1))
window = crop_maps(ops.convert_to_tensor(still), ops.convert_to_tensor(np.array([[1, 2]], np.int32)), 4, 2)
check(
    "not moved, it is not interpolated",
    np.asarray(warp(ops.convert_to_tensor(FACE[None]), window, 2))[0],
    FACE[1:3, 2:],
    0,
)

layer = RandomAffine(rotation=10, shift=0.1, shear=5, zoom=0.1, flip=True, seed=0)
faces = ops.convert_to_tensor(np.repeat(face[None], 64, axis=0))
check("off at inference", np.asarray(layer(faces, training=False)), faces, 0)
one, two = np.asarray(layer(faces, training=True)), np.asarray(layer(faces, training=True))
assert one.shape == (64, 48, 48), one.shape
assert one.dtype == np.float32, one.dtype
assert not np.allclose(one, two), "two draws are equal"
assert len(np.unique(one.mean(axis=(1, 2)))) == 64, "two faces of a batch were moved alike"
maps = np.asarray(layer.draw_maps(4096, 48))
assert 0.45 < (np.linalg.det(maps[:, :, :2]) < 0).mean() < 0.55, "not every other face is flipped"
assert np.abs(maps[:, :, 2]).max() < 0.1 * 48 * (2**0.5), "shifted further than asked"


def furthest(move: str, size: float) -> np.ndarray:
    """The least and the most in each cell of 4,096 maps (2, 3) that make this move alone."""
    sizes = {"rotation": 0.0, "shift": 0.0, "shear": 0.0, "zoom": 0.0, move: size}
    maps = np.asarray(RandomAffine(**sizes, flip=False, seed=0).draw_maps(4096, 48))
    return np.stack([maps.min(axis=0), maps.max(axis=0)])


tenth = 0.1 * 48
sine = np.sin(np.radians(10))
check("rotated as far", furthest("rotation", 10)[:, 1, 0], [-sine, sine], 0.002)
check("shifted as far", furthest("shift", 0.1)[:, :, 2], [[-tenth, -tenth], [tenth, tenth]], 0.02)
check("sheared as far", furthest("shear", 10)[:, 0, 1], [-sine, sine], 0.002)
check("zoomed as far", furthest("zoom", 0.1)[:, (0, 1), (0, 1)], [[0.9, 0.9], [1.1, 1.1]], 0.002)
still = {"rotation": 0, "shift": 0, "shear": 0, "zoom": 0, "flip": False, "seed": 0}
check("nothing asked, nothing moved", np.asarray(RandomAffine(**still)(faces, training=True)), faces, 0)

cropped = RandomAffine(**still, crop_size=46)
check("the middle at inference", np.asarray(cropped(faces, training=False)), np.asarray(faces)[:, 1:47, 1:47], 0)
corners = np.asarray(cropped.draw_corners(9000, 48))
places, counts = np.unique(corners, axis=0, return_counts=True)
assert places.tolist() == [[row, left] for row in range(3) for left in range(3)], places
assert counts.min() > 850, f"not every place is as likely: {counts}"
windows = np.asarray(cropped(faces, training=True))
assert windows.shape == (64, 46, 46), windows.shape
possible = [face[row : row + 46, left : left + 46] for row in range(3) for left in range(3)]
seen = {min(range(9), key=lambda place: np.abs(window - possible[place]).max()) for window in windows}
assert len(seen) > 5, "faces of a batch get one window"
assert all(min(np.abs(window - part).max() for part in possible) == 0 for window in windows)

if keras.backend.backend() == "jax":
    assert "tensorflow" not in sys.modules, "TensorFlow was imported"
print(keras.backend.backend(), "exact")
