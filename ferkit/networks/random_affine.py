"""Moving faces at random on the device, inside the compiled step.

Rotation, shift, shear, zoom and flip are composed into ONE affine map per face, so each pixel is interpolated once;
beyond the border the nearest pixel is taken. The order of composition is that of Keras' ImageDataGenerator, which the
notebooks use.

A random crop (Krizhevsky et al., 2012) is a window of the moved face: its map begins at the window, so that only its
own pixels are interpolated.

Tensor contract: faces float32 (n, side, side), grey levels; maps float32 (n, 2, 3); any Keras backend.
"""

from __future__ import annotations

import math
from typing import Any, Final

import keras
import numpy as np

from ferkit.networks.network import crop_middle

STILL: Final[dict[str, Any]] = {"rotation": 0.0, "shift": 0.0, "shear": 0.0, "zoom": 0.0, "flip": False}

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


def crop_maps(maps: Any, corner: Any, side: int, size: int) -> Any:
    """The maps of windows: from a pixel of the window, counted from its centre, to where it comes from.

    Args:
        maps: float32 (n, 2, 3), of whole faces.
        corner: (n, 2), row and column of each window's upper left pixel, 0..side - size.
        side: of the faces, pixels.
        size: of the windows, pixels.

    Returns:
        float32 (n, 2, 3): maps @ the shift of the window's centre from the face's.
    """
    away = ops.cast(corner, "float32") - (side - size) / 2
    turned, shifted = maps[:, :, :2], maps[:, :, 2:]
    return ops.concatenate([turned, shifted + ops.sum(turned * away[:, None, :], axis=2, keepdims=True)], axis=2)


def warp(faces: Any, maps: Any, size: int = 0) -> Any:
    """Each face seen through its map: bilinear, the nearest pixel beyond the border.

    Args:
        faces: float32 (n, side, side).
        maps: float32 (n, 2, 3), see `compose_maps` and `crop_maps`.
        size: of the result, pixels; 0 for the face's side.

    Returns:
        float32 (n, size, size).
    """
    side = faces.shape[1]
    size = size or side
    n = ops.shape(faces)[0]
    centre = (side - 1) / 2
    steps = np.arange(size, dtype=np.float32) - (size - 1) / 2
    grid = np.stack([np.repeat(steps, size), np.tile(steps, size), np.ones(size * size, np.float32)])  # 3, size * size
    source = ops.clip(ops.matmul(maps, grid) + centre, 0.0, side - 1.0)  # n, 2, size * size
    corner = ops.clip(ops.floor(source), 0.0, side - 2.0)  # upper left of the four pixels around it
    down, right = ops.unstack(source - corner, axis=1)  # n, size * size: 0..1, the weights of lower and right pixels
    row, column = ops.unstack(ops.cast(corner, "int32"), axis=1)
    first = ops.expand_dims(ops.arange(n, dtype="int32") * (side * side), 1)
    index = first + row * side + column
    flat = ops.reshape(faces, (-1,))

    def pixel(offset: int) -> Any:
        return ops.take(flat, index + offset)

    upper = pixel(0) + right * (pixel(1) - pixel(0))
    lower = pixel(side) + right * (pixel(side + 1) - pixel(side))
    return ops.reshape(upper + down * (lower - upper), (-1, size, size))


class RandomAffine(keras.layers.Layer):
    """Moves every face at random while training, and cuts a window out of it; otherwise it takes the unmoved middle.

    Faces float32 (n, side, side) to float32 (n, crop_size, crop_size), or (n, side, side) for whole faces.

    Args:
        rotation: degrees, at most, either way.
        shift: share of the side, at most, up, down and sideways.
        shear: degrees, at most, either way.
        zoom: height and width each by a factor of 1 - zoom to 1 + zoom.
        flip: whether to mirror each face with a probability of one half.
        crop_size: of the window, pixels; 0 for whole faces.
        seed: of the draws; where they have got to is part of the layer's state.
    """

    def __init__(
        self, *, rotation: float, shift: float, shear: float, zoom: float, flip: bool, seed: int, crop_size: int = 0
    ) -> None:
        super().__init__(dtype="float32", name="random_affine")
        self.rotation = math.radians(rotation)
        self.shift = shift
        self.shear = math.radians(shear)
        self.zoom = zoom
        self.flip = flip
        self.crop_size = crop_size
        self.draws = keras.random.SeedGenerator(seed)

    def call(self, faces: Any, training: bool = False) -> Any:
        """See the class."""
        side = faces.shape[1]
        if not training:
            return crop_middle(faces, self.crop_size or side)
        n = ops.shape(faces)[0]
        maps = self.draw_maps(n, side)
        if self.crop_size:
            maps = crop_maps(maps, self.draw_corners(n, side), side, self.crop_size)
        return warp(faces, maps, self.crop_size)

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

    def draw_corners(self, n: Any, side: int) -> Any:
        """Upper left pixels of `n` random windows, int32 (n, 2), each place in a face of `side` pixels as likely."""
        return keras.random.randint((n, 2), 0, side - self.crop_size + 1, seed=self.draws)
