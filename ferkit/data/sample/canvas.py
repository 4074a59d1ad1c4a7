"""What a face is painted on and by: a canvas of many faces at once, its shapes, and dice that roll alike everywhere.

Every array of shapes is float32 (n, 48, 48), every array of settings (n, 1, 1); lengths are in head units (draw.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

SIDE: Final = 48
Length = np.ndarray | float


class Dice:
    """Random numbers for n faces, in float32 (n, 1, 1)."""

    def __init__(self, stream: np.random.PCG64, n: int) -> None:
        self._stream = stream
        self._n = n

    def between(self, low: float, high: float) -> np.ndarray:
        """Even in low..high."""
        unit = (self._stream.random_raw(self._n) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        return (np.float32(low) + np.float32(high - low) * unit).reshape(-1, 1, 1)

    def around(self, spread: float) -> np.ndarray:
        """Bell-shaped around 0, never beyond 2 * spread: the mean of two even numbers."""
        return self.between(-spread, spread) + self.between(-spread, spread)

    def happens(self, share: float) -> np.ndarray:
        """1 in this share of faces, else 0."""
        return (self.between(0, 1) < share).astype(np.float32)

    def grain(self) -> np.ndarray:
        """Noise per pixel, float32 (n, 48, 48), of standard deviation 1: the sum of 4 bytes, centred."""
        raw = self._stream.random_raw(self._n * SIDE * SIDE // 2).view(np.uint8).reshape(self._n, SIDE, SIDE, 4)
        total = raw[..., 0].astype(np.int32) + raw[..., 1] + raw[..., 2] + raw[..., 3]
        return (total.astype(np.float32) - 510) / 147.8


@dataclass
class Canvas:
    """A picture being painted: grey levels 0..255 float32 (n, 48, 48), and where each pixel lies on the head."""

    x: np.ndarray
    y: np.ndarray
    pixel: np.ndarray
    grey: np.ndarray

    def paint(self, distance: np.ndarray, tone: Length, strength: Length = 1.0, soft: float = 1.0) -> None:
        """Lays `tone` over a shape: where `distance` (head units) is negative. Its edge is `soft` pixels wide."""
        cover = np.clip(0.5 - distance / (self.pixel * soft), 0, 1)
        self.grey += cover * strength * (tone - self.grey)

    def ellipse(self, x: Length, y: Length, a: Length, b: Length) -> np.ndarray:
        """Distance to the edge of an ellipse of half-axes a, b."""
        return (np.sqrt(((self.x - x) / a) ** 2 + ((self.y - y) / b) ** 2) - 1) * np.minimum(a, b, dtype=np.float32)


def stroke(offset: np.ndarray, t: np.ndarray, slope: Length, length: Length, thick: Length) -> np.ndarray:
    """Distance to a curved stroke: `offset` is y minus the curve, t runs -1..1 along it, `slope` is the curve's."""
    return np.maximum(np.abs(offset) / np.sqrt(1 + slope * slope) - thick, (np.abs(t) - 1) * length)
