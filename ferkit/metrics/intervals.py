"""How far a metric could be off by the luck of the test rows: bootstrap intervals.

Drawing n of n rows with replacement yields confusion counts that are multinomial in the counts at hand. So whole
matrices are drawn at once, not rows: ten thousand resamples of any number of rows cost the same. (Efron and Tibshirani,
"An Introduction to the Bootstrap", 1993, chapter 13: percentile intervals.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ferkit.metrics.classification import (
    CLASSES,
    accuracy_of_confusions,
    macro_f1_of_confusions,
    recalls_of_confusions,
)

RESAMPLES = 10_000
LEVEL = 0.95


class Interval(NamedTuple):
    """From `low` to `high`, at the confidence level; both NaN where there is nothing to resample."""

    low: float
    high: float


def resample_counts(counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Draws as many faces as were counted, with replacement, `resamples` times.

    Args:
        counts: int, any shape: faces per cell, such as (7, 7), or (7, 7, 7) of truth x champion x challenger.
        resamples: how often.
        seed: the same seed, the same draws.

    Returns:
        int64 (resamples, *counts.shape); every resample has the sum of `counts`.
    """
    flat = np.asarray(counts, np.int64).reshape(-1)
    occupied = np.flatnonzero(flat)  # most of 343 cells are empty, and draws of them are always 0
    drawn = np.zeros((resamples, flat.size), np.int64)
    if occupied.size:
        generator = np.random.default_rng(seed)
        total = int(flat.sum())
        drawn[:, occupied] = generator.multinomial(total, flat[occupied] / total, size=resamples)
    return drawn.reshape(resamples, *np.shape(counts))


def joint_counts(truth: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Labels (n,) of the truth and of two models' predictions on the same faces -> int64 (7, 7, 7)."""
    cells = (truth.astype(np.int64) * CLASSES + first) * CLASSES + second
    return np.bincount(cells, minlength=CLASSES**3).reshape(CLASSES, CLASSES, CLASSES)


def confusions_of_joint(joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 7, 7, 7) of truth x first x second -> the two models' confusion matrices, (..., 7, 7) each."""
    return joint.sum(axis=-1), joint.sum(axis=-2)


def interval(values: np.ndarray, level: float = LEVEL) -> Interval:
    """The middle `level` of resampled values (m,). Values that are NaN, resamples without the class, are left out."""
    values = values[~np.isnan(values)]
    if not values.size:
        return Interval(np.nan, np.nan)
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


class Intervals(NamedTuple):
    """Intervals of a split's main metrics.

    Attributes:
        accuracy: of accuracy.
        macro_f1: of macro-F1.
        recalls: of every class's recall, in the order of `EMOTIONS`; NaN for a class without faces.
    """

    accuracy: Interval
    macro_f1: Interval
    recalls: list[Interval]


def bootstrap_intervals(counts: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Intervals:
    """95% intervals from a confusion matrix (7, 7); 10,000 resamples take a tenth of a second."""
    drawn = resample_counts(counts, resamples, seed)
    recalls = recalls_of_confusions(drawn, absent=np.nan)
    return Intervals(
        interval(accuracy_of_confusions(drawn)),
        interval(macro_f1_of_confusions(drawn)),
        [interval(recalls[:, label]) for label in range(CLASSES)],
    )
