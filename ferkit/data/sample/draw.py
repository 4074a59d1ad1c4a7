"""Drawn faces: seven expressions, each a handful of numbers for brows, eyes and mouth, painted shape over shape.

All coordinates are in "head units": x to the right, y down, (0, 0) between nose and eyes, the frame about -1..1.
Every array of shapes is float32 (n, 48, 48), every array of settings (n, 1, 1).

The same seed produces the same bytes on every machine: random numbers are taken raw from PCG64 (whose stream NumPy
guarantees, which it does not for its distributions), and the drawing only adds, multiplies, divides and takes square
roots, which IEEE 754 rounds alike everywhere. No sine, exponential or sum whose order a processor may choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from ferkit.cores import usable_cores
from ferkit.data import EMOTIONS
from ferkit.data.sample.canvas import SIDE, Canvas, Dice
from ferkit.data.sample.features import paint_extras, paint_eyes, paint_folds, paint_head, paint_mouth, paint_nose

CHUNK: Final = 16
"""Faces painted at once: their arrays (0.15 MB each) stay in a core's cache."""

EXPRESSIONS: Final[dict[str, dict[str, float]]] = {
    # What differs from a face at rest, at full strength; lengths in head units, the rest 0..1.
    "angry": {
        **{"brow_lift": -0.10, "brow_inner": -0.15, "lid": -0.20, "smile": -0.09, "furrow": 1.0},
        **{"open": 0.09, "width": -0.02, "teeth": 0.9, "square": 0.8, "sneer": 0.3},
    },
    "disgust": {
        **{"brow_lift": -0.07, "brow_inner": -0.04, "lid": -0.50, "lower_lid": 0.5, "smile": -0.12, "sneer": 1.0},
        **{"open": 0.06, "teeth": 0.5, "fold": 1.0, "furrow": 0.3, "skew": 0.06, "width": 0.01},
    },
    "fear": {
        **{"brow_lift": 0.12, "brow_inner": 0.11, "arch": -0.03, "lid": 0.65, "smile": -0.05, "open": 0.12},
        **{"width": 0.07, "teeth": 0.45, "square": 0.6, "forehead": 0.9, "iris": -0.25},
    },
    "happy": {
        **{"brow_lift": 0.03, "arch": 0.03, "lid": -0.30, "lower_lid": 0.45, "smile": 0.17, "open": 0.17},
        **{"width": 0.12, "teeth": 0.8, "fold": 0.8, "cheek": 1.0},
    },
    "sad": {
        **{"brow_lift": 0.02, "brow_inner": 0.15, "arch": -0.05, "lid": -0.35, "smile": -0.14, "width": -0.04},
        **{"lip": 0.02, "gaze": 0.5, "forehead": 0.3},
    },
    "surprise": {
        **{"brow_lift": 0.20, "arch": 0.07, "lid": 0.70, "open": 0.36, "width": -0.08, "round": 1.0, "forehead": 1.0},
        **{"iris": -0.1},
    },
    "neutral": {},
}
_TRAITS: Final = sorted({trait for changes in EXPRESSIONS.values() for trait in changes})


def draw_faces(emotion: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """Draws one face for every label.

    Args:
        emotion: uint8 (n,), 0..6.
        seed: numbers from which all else is drawn; face i depends on these, i and its own label only.

    Returns:
        uint8 (n, 48, 48).
    """
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="draw") as pool:  # NumPy leaves Python's lock
        chunks = range(-(-len(emotion) // CHUNK))
        return np.concatenate(list(pool.map(lambda number: _draw_chunk(emotion, seed, number), chunks)))


def _draw_chunk(emotion: np.ndarray, seed: Sequence[int], number: int) -> np.ndarray:
    start = number * CHUNK
    # Always a whole chunk of dice, so that the number of faces does not change the first of them.
    labels = np.resize(emotion[start : start + CHUNK], CHUNK)
    return _draw(labels, Dice(np.random.PCG64([*seed, number]), CHUNK))[: len(emotion) - start]


def _express(emotion: np.ndarray, dice: Dice) -> dict[str, np.ndarray]:
    """How far each trait of each face is from rest. Weak expressions come near a face at rest, and each other."""
    at_full = np.array([[EXPRESSIONS[name].get(trait, 0) for trait in _TRAITS] for name in EMOTIONS], np.float32)
    strength = np.maximum(dice.between(0.3, 1.1), dice.between(0.3, 1.1))
    blend = dice.between(0, 0.25)
    other = (dice.between(0, 7)).astype(np.int64).ravel() % 7
    return {
        trait: strength * (at_full[emotion, i] * (1 - blend.ravel()) + at_full[other, i] * blend.ravel())[:, None, None]
        for i, trait in enumerate(_TRAITS)
    }


def _draw(emotion: np.ndarray, dice: Dice) -> np.ndarray:
    traits = _express(emotion, dice)
    canvas = _pose(dice)
    light = (dice.between(-1, 1), dice.between(-0.7, 0.4))
    skin = dice.between(85, 215)
    hair = np.where(dice.happens(0.75) > 0, dice.between(15, 75), dice.between(120, 215))
    hair = np.where(np.abs(hair - skin) < 35, skin - 60, hair)
    yaw = dice.around(0.5)
    paint_head(canvas, dice, skin, hair, light)
    canvas.x = canvas.x - yaw * 0.16  # a turned head: its features move, its outline does not
    canvas.y = canvas.y - dice.around(0.025)
    paint_nose(canvas, dice, skin, light, yaw, traits)
    paint_folds(canvas, skin, traits)
    paint_mouth(canvas, dice, skin, traits)
    paint_eyes(canvas, dice, skin, hair, traits)
    paint_extras(canvas, dice, hair)
    return _photograph(canvas, dice)


def _pose(dice: Dice) -> Canvas:
    """An empty canvas whose head is rolled by up to 15 degrees, moved, and nearer or farther."""
    at = ((np.arange(SIDE, dtype=np.float32) + 0.5) / (SIDE / 2)) - 1
    x, y = at[None, None, :] + dice.around(0.05), at[None, :, None] + dice.around(0.04)
    half = dice.around(0.065)  # tangent of half the angle: sine and cosine without calling either
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    zoom = dice.between(0.92, 1.08)
    turned_x, turned_y = zoom * (cosine * x + sine * y), zoom * (cosine * y - sine * x)
    empty = np.zeros((len(zoom), SIDE, SIDE), np.float32)
    return Canvas(turned_x + empty, turned_y + empty, zoom * (2 / SIDE), empty)


def _photograph(canvas: Canvas, dice: Dice) -> np.ndarray:
    """Contrast, brightness, a little blur in some, grain in all; rounded to uint8."""
    grey = canvas.grey
    blurred = grey.copy()
    blurred[:, 1:-1, 1:-1] = (
        0.25 * grey[:, 1:-1, 1:-1]
        + 0.125 * ((grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1]) + (grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]))
        + 0.0625 * ((grey[:, :-2, :-2] + grey[:, :-2, 2:]) + (grey[:, 2:, :-2] + grey[:, 2:, 2:]))
    )
    grey = grey + dice.between(0, 1) * (blurred - grey)
    grey = 128 + (grey - 128) * dice.between(0.65, 1.2) + dice.around(20)
    grey = grey + dice.grain() * dice.between(1.5, 8)
    return np.clip(np.floor(grey + 0.5), 0, 255).astype(np.uint8)
