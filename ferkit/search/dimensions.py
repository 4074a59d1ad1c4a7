"""The values that one parameter of a search may take: a few of them, or a range of numbers.

Real numbers are rounded to four significant digits, so that a value reads in a table, and a config, as it was
trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ferkit.settings import whole_numbers

DIGITS: Final = 4
"""Significant digits of a real number that is drawn."""


@dataclass(frozen=True)
class Choice:
    """One of a few values; a fixed value is the only one."""

    values: tuple[Any, ...]

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    @property
    def ends(self) -> tuple[Any, ...]:
        """What stands for all of them: each one."""
        return self.values

    def draw(self, rng: np.random.Generator) -> Any:
        """Any of them, each as likely."""
        return self.values[int(rng.integers(len(self.values)))]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: the smallest.
        high: the largest.
        log: whether their logarithms are spread evenly, rather than they.
        step: between two of them; None for none, and then a real parameter has no end of values.
        whole: whether the parameter takes whole numbers alone.
    """

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    @property
    def size(self) -> int | None:
        """How many numbers there are; None for no end."""
        if self.step is None:
            return int(self.high - self.low) + 1 if self.whole else None
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    @property
    def values(self) -> tuple[float, ...]:
        """All of them; only of a range with an end."""
        return tuple(self.at(self.low + number * (self.step or 1)) for number in range(self.size or 0))

    @property
    def ends(self) -> tuple[float, ...]:
        """What stands for all of them: the smallest and the largest."""
        return (self.low, self.high)

    def at(self, value: float) -> float:
        """The number of the range next to `value`, as it is written."""
        if self.step is not None:
            value = self.low + round((value - self.low) / self.step) * self.step
            value = float(f"{value:.12g}")
        elif not self.whole:
            value = float(f"{value:.{DIGITS}g}")
        return whole_numbers(float(min(max(round(value) if self.whole else value, self.low), self.high)))

    def draw(self, rng: np.random.Generator) -> float:
        """Any of them, each as likely; with `log`, each order of magnitude."""
        if self.size is not None and not self.log:
            return self.at(self.low + int(rng.integers(self.size)) * (self.step or 1))
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        drawn = float(rng.uniform(low, high))
        return self.at(math.exp(drawn) if self.log else drawn)

    def rvs(self, random_state: Any = None) -> float:
        """As scikit-learn's ParameterSampler asks for it: a number by a numpy RandomState."""
        return self.draw(np.random.default_rng(random_state.randint(2**31)))


Dimension = Choice | Range
