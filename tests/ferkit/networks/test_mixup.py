"""Mixup: faces, targets and weights are blended by the same shares. Under every backend."""

from __future__ import annotations

from collections.abc import Callable


def test_blends_are_exact(passes: Callable[[str, str], None]):
    passes("mixing_check.py", "exact")
