"""A search's space: which values each parameter may take, and the points that they make.

Every parameter's own definition decides what a range holds: whole numbers or real ones. Real numbers are rounded to
four significant digits, so that a value reads in a table, and a config, as it was trained.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

import numpy as np

from ferkit.errors import UserError, nearest
from ferkit.networks.architectures import find
from ferkit.search.settings import Search
from ferkit.settings import whole_numbers
from ferkit.tracking.candidates import with_effect
from ferkit.training.candidate import Candidate, parse_candidate
from ferkit.training.settings import Train
from ferkit.user_input import shorten, shown

DIGITS: Final = 4
"""Significant digits of a real number that is drawn."""

MOST_ENUMERATED: Final = 20_000
"""Points of a finite space that are counted one by one; a larger one is taken to hold enough different ones."""


@dataclass(frozen=True)
class Choice:
    """One of a few values; a fixed value is the only one."""

    values: tuple[Any, ...]

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

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
        for number, given in enumerate(search.space):
            where = f"search.space[{number}]" if len(search.space) > 1 else "search.space"
            try:
                spaces.append(_parse(whole_numbers(given), train, search.method))
            except UserError as error:
                raise UserError(f"{where}.{error}") from None
        return cls(tuple(spaces), train)

    def resolve(self, point: Point) -> Candidate:
        """What is trained at a point.

        Raises:
            UserError: its values do not go together.
        """
        return parse_candidate(point.values, self.train)

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


def _parse(given: Mapping[str, Any], train: Mapping[str, Any], method: str) -> dict[str, Dimension]:
    """One space. Each value is checked in a candidate whose other values are the first ones."""
    if "seeds" in given:
        raise UserError("seeds: a search trains each trial once; train its best one, search/best.yaml, with seeds")
    if "architecture" not in given:
        raise UserError("architecture: a space needs it; give one or a list, such as lenet")
    if isinstance(given["architecture"], Mapping):
        raise UserError("architecture: takes no range, for it is no number; give a list of values")
    architectures = _choice("architecture", given["architecture"]).values
    space: dict[str, Dimension] = {}
    for name, value in given.items():
        if name != "architecture":
            for architecture in architectures:
                _refuse_unknown(name, str(architecture), len(architectures) > 1)
        if isinstance(value, Mapping):
            space[name] = _range(name, value, _kind(name, [str(one) for one in architectures]), method)
        else:
            space[name] = _choice(name, value)
    first = {name: _ends(dimension)[0] for name, dimension in space.items()}
    for name, dimension in space.items():
        for value in _ends(dimension):
            for architecture in architectures if name != "architecture" else [value]:
                try:
                    parse_candidate({**first, "architecture": architecture, name: value}, train)
                except UserError as error:
                    raise UserError(str(error).removeprefix("train.").removeprefix(f"{architecture}.")) from None
    return space


def _refuse_unknown(name: str, architecture: str, several: bool) -> None:
    known = [*find(architecture).NetworkSettings.model_fields, *Train.model_fields]
    if name not in known:
        cure = "; give a space for each architecture, as a list, where they differ" if several else ""
        raise UserError(
            f"{shown(name)[:80]}: neither {architecture} nor train has such a parameter; {nearest(name, known)}{cure}"
        )


def _choice(name: str, value: Any) -> Choice:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UserError(f"{name}: the list is empty; give values to try, or leave it out")
    if any(one is None for one in values):
        raise UserError(f"{name}: holds an empty value; write each value to try, or leave {name} out")
    for number, one in enumerate(values):
        if one in values[:number]:
            raise UserError(f"{name}: {shorten(one)} is given twice; take one out")
    return Choice(tuple(values))


def _range(name: str, given: Mapping[str, Any], kind: type | None, method: str) -> Range:
    if kind is None:
        raise UserError(f"{name}: takes no range, for it is no number; give a list of values")
    for key in given:
        if key not in ("low", "high", "log", "step"):
            raise UserError(f"{name}.{shown(key)[:80]}: a range has no such key; write {{low, high, log, step}}")
    for key in ("low", "high", "step"):
        value = given.get(key)
        if (value is None and key != "step") or (value is not None and not _is_number(value)):
            raise UserError(f"{name}.{key}: has to be a number (received {shorten(value)}); write {{low: 1, high: 9}}")
        if value is not None and kind is int and not float(value).is_integer():
            raise UserError(f"{name}.{key}: {name} takes whole numbers (received {shorten(value)})")
    low, high, log, step = given["low"], given["high"], given.get("log", False), given.get("step")
    if not isinstance(log, bool):
        raise UserError(f"{name}.log: has to be true or false (received {shorten(log)})")
    if low >= high:
        raise UserError(f"{name}: low has to be smaller than high (received low {low}, high {high})")
    if log and low <= 0:
        raise UserError(f"{name}.low: has to be over 0 where log is true (received {low})")
    if step is not None and step <= 0:
        raise UserError(f"{name}.step: has to be over 0 (received {step})")
    if step is not None and log:
        raise UserError(f"{name}: takes a step or log, not both; write the values as a list")
    if method == "grid" and step is None:
        raise UserError(f"{name}: a grid needs a step, or a list of values; or take method random or tpe")
    found = Range(low, high, log, step, kind is int)
    return Range(low, found.values[-1], log, step, kind is int) if step is not None else found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(name: str, architectures: Sequence[str]) -> type | None:
    """int or float, as the parameter is; None for one that is no number."""
    fields = {**find(architectures[0]).NetworkSettings.model_fields, **Train.model_fields}
    if name not in fields:  # the architecture itself
        return None
    annotation = fields[name].annotation
    kinds = {annotation} if get_origin(annotation) is tuple else {annotation, *get_args(annotation)}
    return float if float in kinds else int if int in kinds else None


def _ends(dimension: Dimension) -> Sequence[Any]:
    """The values to check: all of a choice, both ends of a range."""
    return dimension.values if isinstance(dimension, Choice) else (dimension.low, dimension.high)
