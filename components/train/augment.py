"""Moving faces at random on the device, inside the compiled step.

Rotation, shift, shear, zoom and flip are composed into ONE affine map per face, so each pixel is interpolated once;
beyond the border the nearest pixel is taken. The order of composition is that of Keras' ImageDataGenerator, which the
notebooks use.

Tensor contract: faces float32 (n, side, side), grey levels; maps float32 (n, 2, 3); any Keras backend.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

ops: Any = keras.ops  # its own types admit None and complex everywhere


def compose_maps(rotation: Any, shift: Any, shear: Any, zoom: Any, flip: Any) -> Any:
    """One affine map per face, from a pixel of the result to where it comes from, both counted from the centre.

    Args:
        rotation: radians (n,).
        shift: pixels (n, 2), down and right: where the result's centre comes from.
        shear: radians (n,).
        zoom: factors (n, 2) of height and width; below 1 enlarges.
        flip: (n,) of -1 (left to right) or 1.

    Returns:
        float32 (n, 2, 3): rotation @ shift @ shear @ zoom @ flip, without the last row.
    """
    cos, sin = ops.cos(rotation), ops.sin(rotation)
    down, right = shift[:, 0], shift[:, 1]
    high, wide = zoom[:, 0], zoom[:, 1] * flip
    # rotation [[c, -s], [s, c]] @ shear [[1, -sin k], [0, cos k]] @ zoom and flip, diagonal
    up_right, right_right = -ops.sin(shear), ops.cos(shear)
    rows = [
        [cos * high, (cos * up_right - sin * right_right) * wide, cos * down - sin * right],
        [sin * high, (sin * up_right + cos * right_right) * wide, sin * down + cos * right],
    ]
    return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=1)


def warp(faces: Any, maps: Any) -> Any:
    """Each face seen through its map: bilinear, the nearest pixel beyond the border.

    Args:
        faces: float32 (n, side, side).
        maps: float32 (n, 2, 3), see `compose_maps`.

    Returns:
        float32 (n, side, side).
    """
    side = faces.shape[1]
    n = ops.shape(faces)[0]
    centre = (side - 1) / 2
    steps = np.arange(side, dtype=np.float32) - centre
    grid = np.stack([np.repeat(steps, side), np.tile(steps, side), np.ones(side * side, np.float32)])  # 3, side * side
    source = ops.clip(ops.matmul(maps, grid) + centre, 0.0, side - 1.0)  # n, 2, side * side
    corner = ops.clip(ops.floor(source), 0.0, side - 2.0)  # upper left of the four pixels around it
    down, right = ops.unstack(source - corner, axis=1)  # n, side * side: 0..1, the weights of lower and right pixels
    row, column = ops.unstack(ops.cast(corner, "int32"), axis=1)
    first = ops.expand_dims(ops.arange(n, dtype="int32") * (side * side), 1)
    index = first + row * side + column
    flat = ops.reshape(faces, (-1,))

    def pixel(offset: int) -> Any:
        return ops.take(flat, index + offset)

    upper = pixel(0) + right * (pixel(1) - pixel(0))
    lower = pixel(side) + right * (pixel(side + 1) - pixel(side))
    return ops.reshape(upper + down * (lower - upper), (-1, side, side))


class Augment(keras.layers.Layer):
    """Moves every face at random while training, float32 (n, side, side) to the same; otherwise leaves it alone.

    Args:
        rotation: degrees, at most, either way.
        shift: share of the side, at most, up, down and sideways.
        shear: degrees, at most, either way.
        zoom: height and width each by a factor of 1 - zoom to 1 + zoom.
        flip: whether to mirror every other face.
        seed: of the draws; where they have got to is part of the layer's state.
    """

    def __init__(self, *, rotation: float, shift: float, shear: float, zoom: float, flip: bool, seed: int) -> None:
        super().__init__(dtype="float32", name="augment")
        self.rotation = math.radians(rotation)
        self.shift = shift
        self.shear = math.radians(shear)
        self.zoom = zoom
        self.flip = flip
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, faces: Any, training: bool = False) -> Any:
        """See the class."""
        return warp(faces, self.draw_maps(ops.shape(faces)[0], faces.shape[1])) if training else faces

    def draw_maps(self, n: Any, side: int) -> Any:
        """`n` random maps float32 (n, 2, 3) for faces of `side` pixels."""
        draw: Any = keras.random.uniform((n, 7), -1.0, 1.0, seed=self.draws)
        return compose_maps(
            rotation=draw[:, 0] * self.rotation,
            shift=draw[:, 1:3] * (self.shift * side),
            shear=draw[:, 3] * self.shear,
            zoom=1.0 + draw[:, 4:6] * self.zoom,
            flip=ops.where(draw[:, 6] < 0, -1.0, 1.0) if self.flip else ops.ones((n,)),
        )
