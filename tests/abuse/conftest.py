"""What the abuse has in common: how much of it there is, dice that can be thrown again, and the counts at the end.

`make test-abuse` does all of it; `FERPIPE_ABUSE=0.1` a tenth. Every attempt has a number, and is made from that number
alone: what failed is made again by it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest

SCALE = float(os.environ.get("FERPIPE_ABUSE", "1"))

_COUNTS = pytest.StashKey[dict[str, Counter[str]]]()


class Attempts:
    """Attempts of one kind: numbered, and counted by how they ended."""

    def __init__(self, kind: str, most: int, counts: dict[str, Counter[str]]) -> None:
        self._kind, self._most, self._counts = kind, most, counts

    def __iter__(self) -> Iterator[tuple[int, random.Random]]:
        for number in range(max(1, round(SCALE * self._most))):
            yield number, random.Random(f"{self._kind} {number}")

    def ended(self, how: str) -> None:
        """Counts one attempt."""
        self._counts.setdefault(self._kind, Counter())[how] += 1


@pytest.fixture
def attempts(request: pytest.FixtureRequest):
    """Attempts of a kind, so many of them where all are made."""
    counts = request.config.stash.setdefault(_COUNTS, {})
    return lambda kind, most: Attempts(kind, most, counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the counts."""
    counts = config.stash.get(_COUNTS, {})
    if counts:
        terminalreporter.section("abuse")
    for kind, ends in counts.items():
        told = ", ".join(f"{count:,} {how}" for how, count in sorted(ends.items()))
        terminalreporter.write_line(f"{sum(ends.values()):,} {kind}: {told}")
