"""How much each training face looks like its emotion, so that the faces to be shown are chosen, not met by chance.

What an emotion looks like is the mean of its faces, each standardised to one brightness and contrast, with what sets
it apart from the mean of all emotions counted twice. The higher a face's pixels correlate with that, the more typical
it is: whole faces, upright and from the front, come first; cut, turned and covered ones last.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ferkit.data import EMOTIONS, Faces, read_split_in_chunks

LIGHT = {"brightness": (0.03, 0.97), "contrast": (0.5, 0.95)}
"""Between which quantiles of its emotion a face's light has to be, or it comes after all whose light is."""


class StandardisedSums:
    """Sums of the standardised faces of each emotion, taken a chunk at a time."""

    def __init__(self, side: int) -> None:
        self._sums = np.zeros((len(EMOTIONS), side * side))
        self._counts = np.zeros(len(EMOTIONS), np.int64)

    def add(self, chunk: Faces) -> None:
        members = chunk.emotion == np.arange(len(EMOTIONS))[:, None]
        self._sums += members.astype(np.float32) @ _standardise(chunk)
        self._counts += members.sum(axis=1)

    def templates(self) -> np.ndarray:
        """What each emotion looks like: float32 (7, side * side), of length 1; zeros for one without faces."""
        there = self._counts > 0
        mean = self._sums / np.maximum(self._counts, 1)[:, None]
        template = np.where(there[:, None], 2 * mean - mean.sum(axis=0) / max(there.sum(), 1), 0)
        return _of_length_one(template).astype(np.float32)


def rank_training_faces(
    folder: Path | str, templates: np.ndarray, emotion: np.ndarray, brightness: np.ndarray, contrast: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Says how typical each training face is, and finds the most typical one of each emotion.

    Args:
        folder: data set folder.
        templates: of `StandardisedSums`.
        emotion: uint8 (n,), of every training face in the split's order.
        brightness: float32 (n,), likewise.
        contrast: float32 (n,), likewise.

    Returns:
        float32 (n,): correlation with the emotion's template, -1..1, less 3 where the light is not as `LIGHT` has it;
        and uint8 (side, side) for each emotion that has faces, the first of equals.
    """
    typical = -3.0 * ~(
        _within(brightness, emotion, *LIGHT["brightness"]) & _within(contrast, emotion, *LIGHT["contrast"])
    )
    best: dict[str, np.ndarray] = {}
    highest = np.full(len(EMOTIONS), -np.inf)
    start = 0
    for chunk in read_split_in_chunks(folder, "train"):
        score = typical[start : start + len(chunk)]
        score += (_standardise(chunk) @ templates.T)[np.arange(len(chunk)), chunk.emotion]
        start += len(chunk)
        for label in np.unique(chunk.emotion).tolist():
            at = np.where(chunk.emotion == label, score, -np.inf).argmax()
            if score[at] > highest[label]:
                highest[label], best[EMOTIONS[label]] = score[at], chunk.pixels[at].copy()
    return typical.astype(np.float32), best


def _within(values: np.ndarray, emotion: np.ndarray, low: float, high: float) -> np.ndarray:
    """bool (n,): the value lies between these quantiles of its emotion's values."""
    within = np.zeros(len(values), bool)
    for label in np.unique(emotion).tolist():
        members = emotion == label
        ends = np.quantile(values[members], [low, high])
        within[members] = (values[members] >= ends[0]) & (values[members] <= ends[1])
    return within


def _standardise(chunk: Faces) -> np.ndarray:
    """float32 (n, side * side): every face with mean 0 and length 1; zeros for one of a single grey level."""
    flat = chunk.pixels.reshape(len(chunk), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return _of_length_one(flat)


def _of_length_one(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)
