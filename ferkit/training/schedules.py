"""Schedules of the learning rate. One function each, named in `Schedule` and `SCHEDULES`: a new one touches this file.

Each takes the peak learning rate, all steps of the training, and those of the warm-up, and returns what a Keras
optimizer takes as its learning rate. None imports keras before it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from keras.optimizers.schedules import LearningRateSchedule

Schedule = Literal["constant", "cosine"]


def constant(rate: float, total: int, rising: int) -> float | LearningRateSchedule:
    """From 0 up over the warm-up, then `rate`; without warm-up a plain number."""
    return _cosine_to(rate, total, rising, end=1.0) if rising else rate


def cosine(rate: float, total: int, rising: int) -> LearningRateSchedule:
    """From 0 up over the warm-up, then half a cosine down to 0 (Loshchilov and Hutter, 2017, without restarts)."""
    return _cosine_to(rate, total, rising, end=0.0)


def _cosine_to(rate: float, total: int, rising: int, end: float) -> LearningRateSchedule:
    from keras.optimizers.schedules import CosineDecay

    start = 0.0 if rising else rate
    return CosineDecay(start, total - rising, alpha=end, warmup_target=rate, warmup_steps=rising)


SCHEDULES: dict[Schedule, Callable[[float, int, int], float | LearningRateSchedule]] = {
    "constant": constant,
    "cosine": cosine,
}
