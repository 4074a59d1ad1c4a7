"""A search's spaces, and the points in them: what each trial trains, and which of them are the same training."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ferkit.errors import UserError
from ferkit.search.dimensions import Dimension
from ferkit.search.parse_space import parse_space
from ferkit.search.settings import Search
from ferkit.settings import whole_numbers
from ferkit.tracking.candidates import with_effect
from ferkit.training.candidate import Candidate, parse_candidate
from ferkit.user_input import shorten

MOST_ENUMERATED: Final = 20_000
"""Points of a finite space that are counted one by one; a larger one is taken to hold enough different ones."""


@dataclass(frozen=True)
class Point:
    """A point of a search: what a trial trains.

    Attributes:
        space: which of the search's spaces it lies in, from 0.
        values: a candidate, as a person would write it.
    """

    space: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Spaces:
    """All that a search may try.

    Attributes:
        spaces: each with a dimension for every parameter that it names.
        train: the section `train`, which holds for all trials.
    """

    spaces: tuple[Mapping[str, Dimension], ...]
    train: Mapping[str, Any]

    @classmethod
    def parse(cls, search: Search, train: Mapping[str, Any]) -> Spaces:
        """The spaces of a search, every value of which some trial may take.

        Raises:
            UserError: naming the space, the parameter and the value that does not fit, and what to write.
        """
        spaces = []
        for number, values in enumerate(search.space):
            where = f"search.space[{number}]" if len(search.space) > 1 else "search.space"
            try:
                spaces.append(parse_space(whole_numbers(values), train, search.method))
            except UserError as error:
                raise UserError(f"{where}.{error}") from None
        return cls(tuple(spaces), train)

    def resolve(self, point: Point) -> Candidate:
        """What is trained at a point.

        Raises:
            UserError: its values do not go together.
        """
        return parse_candidate(point.values, self.train)

    def misfit(self, point: Point) -> str:
        """Why the values of a point do not go together, in a sentence that holds them; empty where they do."""
        try:
            self.resolve(point)
        except UserError as error:
            return f"{error} (in {shorten(dict(point.values))})"
        return ""

    def key(self, point: Point) -> str:
        """Equal for points whose trials would be the same training."""
        try:
            settings = with_effect(self.resolve(point).dump())
        except UserError:  # values that do not go together: its trial will say so
            settings = dict(point.values)
        return json.dumps(settings, sort_keys=True)

    @property
    def size(self) -> int | None:
        """How many points there are, those that are the same training counted each; None for no end."""
        total = 0
        for space in self.spaces:
            sizes = [dimension.size for dimension in space.values()]
            if None in sizes:
                return None
            total += math.prod(size for size in sizes if size is not None)
        return total

    def all_points(self) -> Iterator[Point]:
        """Every point that is a training of its own, in order; only of spaces with an end."""
        seen: set[str] = set()
        for number, space in enumerate(self.spaces):
            for values in itertools.product(*(dimension.values for dimension in space.values())):
                point = Point(number, dict(zip(space, values, strict=True)))
                if (key := self.key(point)) not in seen:
                    seen.add(key)
                    yield point

    def at_most(self, trials: int) -> int:
        """How many of `trials` trials can all be different."""
        if self.size is None or self.size > MOST_ENUMERATED:
            return trials
        return sum(1 for _ in itertools.islice(self.all_points(), trials))

    def draw(self, rng: np.random.Generator) -> Point:
        """Any point: each space as likely, and each value in it."""
        number = int(rng.integers(len(self.spaces)))
        return Point(number, {name: dimension.draw(rng) for name, dimension in self.spaces[number].items()})

    def draw_untaken(self, taken: set[str], rng: np.random.Generator) -> Point | None:
        """Any point whose `key` is not among the taken ones; None where none is left."""
        for _ in range(100):
            point = self.draw(rng)
            if self.key(point) not in taken:
                return point
        if self.size is None:
            return None
        left = [point for point in self.all_points() if self.key(point) not in taken]
        return left[int(rng.integers(len(left)))] if left else None

    def searched(self) -> list[str]:
        """The parameters of which there is more than one value, in order."""
        names = dict.fromkeys(name for space in self.spaces for name in space)
        return [name for name in names if self._differs(name)]

    def _differs(self, name: str) -> bool:
        first, *others = [space.get(name) for space in self.spaces]
        return any(other != first for other in others) or (first is not None and first.size != 1)
