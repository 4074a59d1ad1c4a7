"""Two models on the same rows: by how much they differ, and how far that could be off by the luck of the rows.

All is computed from joint counts, int64 (7, 7, 7): how many rows have truth t, are called a by the first model and b by
the second. Resampling those counts is resampling the rows, both models' answers to a row staying together (a paired
bootstrap), and takes the same time for any number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ferkit.data import EMOTIONS
from ferkit.metrics.classification import CLASSES, accuracy_of_confusions, macro_f1_of_confusions, recalls_of_confusions
from ferkit.metrics.intervals import confusions_of_joint, interval, resample_counts


@dataclass(frozen=True)
class Difference:
    """The second model minus the first, with the ends of its bootstrap interval."""

    difference: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@dataclass(frozen=True)
class Differences:
    """The second model minus the first on the same rows, with percentile intervals.

    Attributes:
        macro_f1: at the confidence level.
        accuracy: the same.
        recall: per class that has rows; at a level at which all of them hold TOGETHER with that confidence
            (Bonferroni), so that seven chances to be wrong are no more than one.
    """

    macro_f1: Difference
    accuracy: Difference
    recall: Mapping[str, Difference]


def compare_on_same_rows(joint: np.ndarray, resamples: int, seed: int, confidence: float) -> Differences:
    """The paired bootstrap of the differences in macro-F1, accuracy and recall of each class.

    Args:
        joint: int (7, 7, 7): counts of truth x first model's answer x second model's answer; at least one row.
        resamples: how many; 10,000 take less than half a second.
        seed: the same counts and seed return the same intervals.
        confidence: of the two-sided intervals, such as 0.95.
    """
    before, after = confusions_of_joint(joint)
    drawn_before, drawn_after = resample_confusions(joint, resamples, seed)
    present = np.flatnonzero(before.sum(axis=-1)).tolist()
    simultaneous = 1 - (1 - confidence) / len(present)
    recall_gained = recalls_of_confusions(after) - recalls_of_confusions(before)
    # A resample without a row of some class says nothing about that class.
    drawn_recall_gained = recalls_of_confusions(drawn_after, absent=np.nan) - recalls_of_confusions(drawn_before)
    return Differences(
        macro_f1=_difference(
            macro_f1_of_confusions(after) - macro_f1_of_confusions(before),
            macro_f1_of_confusions(drawn_after) - macro_f1_of_confusions(drawn_before),
            confidence,
        ),
        accuracy=_difference(
            accuracy_of_confusions(after) - accuracy_of_confusions(before),
            accuracy_of_confusions(drawn_after) - accuracy_of_confusions(drawn_before),
            confidence,
        ),
        recall={
            EMOTIONS[label]: _difference(recall_gained[label], drawn_recall_gained[:, label], simultaneous)
            for label in present
        },
    )


def resample_confusions(joint: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Both models' confusion matrices, int64 (resamples, 7, 7) each, in resamples of the joint counts (7, 7, 7).

    What `confusions_of_joint(resample_counts(joint, ...))` returns; only the occupied cells are added up.
    """
    truth, first, second = np.nonzero(joint)
    drawn = resample_counts(joint[truth, first, second], resamples, seed)
    return _add_up(drawn, truth * CLASSES + first), _add_up(drawn, truth * CLASSES + second)


def _add_up(drawn: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Adds the columns of `drawn` (resamples, k) that belong to the same `cell` (k,): (resamples, 7, 7).

    Not a matrix product with zeros and ones: BLAS' threads wait for each other where the cores are busy.
    """
    order = np.argsort(cell, kind="stable")
    cells, starts = np.unique(cell[order], return_index=True)
    sums = np.zeros((len(drawn), CLASSES**2), np.int64)
    sums[:, cells] = np.add.reduceat(drawn[:, order], starts, axis=1)
    return sums.reshape(-1, CLASSES, CLASSES)


def _difference(value: np.ndarray, drawn: np.ndarray, level: float) -> Difference:
    low, high = interval(drawn, level)
    return Difference(float(value), low, high)
