"""Batch norm's statistics are measured for the weights that are scored, and change nothing in the training."""

from __future__ import annotations

from collections.abc import Callable


def test_statistics_are_exact_and_training_is_left_alone(passes: Callable[[str, str], None]):
    passes("batch_statistics_check.py", "exact")
