"""Random erasing: rectangles as large and as likely paper's, exact to the pixel. Under every backend."""

from __future__ import annotations

from collections.abc import Callable


def test_rectangles_are_exact(passes: Callable[[str, str], None]):
    passes("erasing_check.py", "exact")
