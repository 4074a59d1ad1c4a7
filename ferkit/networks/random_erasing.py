"""Random erasing: a rectangle of noise over part of a face, on the device, inside the compiled step.

Zhong, Zheng, Kang, Li and Yang, Random Erasing Data Augmentation, 2017 (arXiv 1708.04896): with probability p, a
rectangle of 0.02 to 0.4 of the face, its height 0.3 to 1 / 0.3 of its width, anywhere, each pixel a grey level drawn
anew.

Where the paper draws again until a rectangle lies within the face, here one that is taller or wider than the face is
cut to its side, for a step has one length. The ratio is drawn evenly on a logarithmic scale, as torchvision does, so
that high ones are as likely ones. Not for short trainings, nor for a network that underfits: it makes faces
harder.

Tensor contract: faces float32 (n, side, side), grey levels 0..255; any Keras backend.
"""

from __future__ import annotations

import math
from typing import Any, Final

import keras

ops: Any = keras.ops

SHARES: Final = (0.02, 0.4)
RATIO: Final = 0.3

OWN_DRAWS: Final = 2**20
"""Added to the seed: with that of `RandomAffine`, where a face is erased would follow from how it is moved."""


def size_rectangles(share: Any, ratio: Any, side: int) -> Any:
    """Heights and widths of rectangles, whole pixels float32 (n, 2), 1..side.

    Args:
        share: (n,), of the face's area.
        ratio: (n,), of height to width.
        side: of the faces, pixels.
    """
    sizes = ops.sqrt(ops.stack([share * ratio, share / ratio], axis=1)) * side
    return ops.clip(ops.round(sizes), 1.0, float(side))


def erase(faces: Any, corner: Any, size: Any, noise: Any) -> Any:
    """Faces float32 (n, side, side) with `noise` (n, side, side) within their rectangles.

    Args:
        faces: see above.
        corner: (n, 2), row and column of the upper left pixel.
        size: (n, 2), height and width in pixels; 0 leaves a face whole.
        noise: what stands there instead.
    """
    line = ops.arange(faces.shape[1], dtype="float32")  # side
    from_corner = line - ops.expand_dims(corner, 2)  # n, 2, side
    within = ops.logical_and(from_corner >= 0, from_corner < ops.expand_dims(size, 2))
    rows, columns = within[:, 0, :, None], within[:, 1, None, :]
    return ops.where(ops.logical_and(rows, columns), noise, faces)


class RandomErasing(keras.layers.Layer):
    """Erases part of every so many faces while training; otherwise it leaves them alone.

    Args:
        probability: of each face.
        seed: of the draws; where they have got to is part of the layer's state.
    """

    def __init__(self, probability: float, seed: int) -> None:
        super().__init__(dtype="float32", name="random_erasing")
        self.probability = probability
        self.draws = keras.random.SeedGenerator(seed + OWN_DRAWS)

    def call(self, faces: Any, training: bool = False) -> Any:
        """See the module."""
        if not training:
            return faces
        corner, size = self.draw_rectangles(ops.shape(faces)[0], faces.shape[1])
        noise: Any = keras.random.uniform(ops.shape(faces), 0.0, 255.0, seed=self.draws)
        return erase(faces, corner, size, noise)

    def draw_rectangles(self, n: Any, side: int) -> tuple[Any, Any]:
        """Corners and sizes, both float32 (n, 2) in whole pixels, of `n` rectangles; size 0 where nothing is erased."""
        draw: Any = keras.random.uniform((n, 5), seed=self.draws)
        least, most = SHARES
        ratio = ops.exp((2 * draw[:, 1] - 1) * math.log(1 / RATIO))
        size = size_rectangles(least + draw[:, 0] * (most - least), ratio, side)
        corner = ops.floor(draw[:, 2:4] * (side - size + 1))
        return corner, ops.where(draw[:, 4:] < self.probability, size, 0.0)
