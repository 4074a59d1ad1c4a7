"""The gate's rule: may this version become champion? Counts in, reasons out; no MLflow, no model.

All is decided on joint counts, int64 (7, 7, 7): how many test rows have truth t, are called c by the champion and d by
the challenger. Resampling those counts is resampling the rows, both models' answers to a row staying together (a paired
bootstrap), and takes the same time for any number of rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ferkit.data import EMOTIONS
from ferkit.metrics.classification import CLASSES, accuracy_of_confusions, macro_f1_of_confusions, recalls_of_confusions
from ferkit.metrics.intervals import confusions_of_joint, interval, resample_counts
from ferkit.registry.settings import Register
from ferkit.registry.verdict import Difference


@dataclass(frozen=True)
class Differences:
    """Challenger minus champion on the same rows, with percentile intervals.

    Attributes:
        macro_f1: at the confidence asked for.
        accuracy: the same.
        recall: per class that has rows; at a level at which all of them hold TOGETHER with that confidence
            (Bonferroni), so that seven chances to be wrong are no more than one.
    """

    macro_f1: Difference
    accuracy: Difference
    recall: Mapping[str, Difference]


def compare_on_same_rows(joint: np.ndarray, resamples: int, seed: int, confidence: float) -> Differences:
    """The paired bootstrap of every difference that the gate looks at.

    Args:
        joint: counts (7, 7, 7) of truth x champion's answer x challenger's answer; at least one row.
        resamples: how many; 10,000 take less than half a second.
        seed: the same counts and seed give the same intervals.
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

    What `confusions_of_joint(resample_counts(joint, ...))` gives; only the occupied cells are added up.
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


def below_floors(confusion: np.ndarray, policy: Register) -> list[str]:
    """The floors that a confusion matrix (7, 7) does not clear, a sentence each. A class without rows has no floor."""
    sentences = []
    macro_f1 = float(macro_f1_of_confusions(confusion))
    if macro_f1 < policy.floor_macro_f1:
        sentences.append(f"macro-F1 {_below(macro_f1, policy.floor_macro_f1)}")
    for emotion, recall in zip(EMOTIONS, recalls_of_confusions(confusion, absent=np.inf), strict=True):
        if recall < policy.floor_recall:
            sentences.append(f"recall of {emotion} {_below(float(recall), policy.floor_recall)}")
    return sentences


def _below(value: float, floor: float) -> str:
    """The sentence's end, with as many digits (three or more) as it takes to see that `value` is the smaller one."""
    digits = next((digits for digits in range(3, 17) if float(f"{value:.{digits}f}") < floor), 17)
    return f"{value:.{digits}f} is below the floor of {floor:g}"


def worse_than_allowed(found: Differences, policy: Register) -> list[str]:
    """What the policy forbids in the differences, a sentence each."""
    sentences = []
    if policy.comparison == "superiority" and found.macro_f1.low <= 0:
        sentences.append(f"not shown to be better: the difference in macro-F1, {found.macro_f1}, does not lie above 0")
    if policy.comparison == "non_inferiority" and found.macro_f1.low < -policy.allowed_loss:
        sentences.append(
            f"may be worse: the difference in macro-F1, {found.macro_f1}, reaches below the allowed "
            f"{-policy.allowed_loss:g}"
        )
    for emotion, difference in found.recall.items():
        if difference.high < -policy.allowed_recall_loss:
            sentences.append(
                f"{emotion} is ruined: the difference in its recall, {difference}, lies wholly below the allowed "
                f"{-policy.allowed_recall_loss:g}"
            )
    return sentences
