"""Mixup: each face of a batch blended with another, and their emotions with them.

Zhang, Cisse, Dauphin and Lopez-Paz, mixup: Beyond Empirical Risk Minimization, 2017 (arXiv 1710.09412): for a share t
drawn from Beta(alpha, alpha), face t x + (1 - t) x' and target t y + (1 - t) y'. The other face is the one before it in
the batch, whose order is drawn again in every epoch. Shares are drawn by seed and epoch on the host, for each face its
own; targets are blended there, faces on the device, after they have been moved.

Not for short trainings, nor for a network that underfits; and `train/accuracy` is then that of faces that are two.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

ops: Any = keras.ops


class Mixup(keras.layers.Layer):
    """Faces float32 (n, side, side) and shares float32 (n,) to blends float32 (n, side, side), while training."""

    def __init__(self) -> None:
        super().__init__(dtype="float32", name="mixup")

    def call(self, faces: Any, shares: Any, training: bool = False) -> Any:
        """See the module."""
        if not training:
            return faces
        shares = ops.reshape(shares, (-1, 1, 1))
        return shares * faces + (1 - shares) * ops.roll(faces, 1, axis=0)


def draw_shares(alpha: float, n: int, seed: int, epoch: int) -> np.ndarray:
    """Each face's share of its blend: float32 (n,), 0..1, from Beta(alpha, alpha)."""
    return np.random.default_rng((seed, epoch, 1)).beta(alpha, alpha, n).astype(np.float32)


def mix_targets(
    targets: np.ndarray, weights: np.ndarray | None, shares: np.ndarray, batch: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Targets and weights of blended faces: the loss of a blend is that of its two faces, each with its weight.

    Args:
        targets: float32 (n, 7), in the order of training.
        weights: float32 (n,), of each face in the loss, or None for all 1.
        shares: float32 (n,), see `draw_shares`.
        batch: faces in a step; n is a multiple of it.

    Returns:
        float32 (n, 7), rows summing to 1, and float32 (n,) or None.
    """
    own = shares if weights is None else shares * weights
    others = 1 - shares if weights is None else (1 - shares) * _before(weights, batch)
    blend = own[:, None] * targets + others[:, None] * _before(targets, batch)
    if weights is None:
        return blend, None
    total = own + others
    return blend / total[:, None], total


def _before(values: np.ndarray, batch: int) -> np.ndarray:
    """For each face of a batch, the value of the one before it; for the first, of the last."""
    return np.roll(values.reshape(-1, batch, *values.shape[1:]), 1, axis=1).reshape(values.shape)
