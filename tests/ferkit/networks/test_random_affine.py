"""Each move is exact on small arrays, and scipy agrees with their composition. Under every backend."""

from __future__ import annotations

from collections.abc import Callable


def test_every_move_is_exact(passes: Callable[[str, str], None]):
    passes("moves_check.py", "exact")
