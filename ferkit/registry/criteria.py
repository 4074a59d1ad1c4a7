"""The gate's rule: may this version become champion? Metrics and differences in, reasons out; no MLflow, no model."""

from __future__ import annotations

import numpy as np

from ferkit.data import EMOTIONS
from ferkit.metrics.classification import macro_f1_of_confusions, recalls_of_confusions
from ferkit.metrics.paired import Differences
from ferkit.registry.settings import Register


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
