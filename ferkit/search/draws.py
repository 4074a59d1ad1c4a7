"""The trials of a grid and of a random search, by scikit-learn: drawn when the run opens, before any has trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sklearn.model_selection import ParameterGrid, ParameterSampler

from ferkit.errors import UserError
from ferkit.search.dimensions import Choice
from ferkit.search.settings import Search
from ferkit.search.space import Point, Spaces

DRAWS_PER_TRIAL: Final = 50
"""Draws per trial, on average, after which a random search ends without a point that it has not drawn before."""

_SPACE: Final = " space"
"""Beside the parameters, which space a point is of; no parameter's name begins with a blank."""


@dataclass(frozen=True)
class Draws:
    """What was drawn for a search.

    Attributes:
        points: of its trials: all different, and each can be trained.
        misfits: of the points that were passed over, for their values do not go together, what is wrong.
    """

    points: Sequence[Point]
    misfits: Sequence[str]


def draw_points(search: Search, spaces: Spaces) -> Draws:
    """The points of a grid's or a random search's trials; fewer than `trials` where there are no more.

    Raises:
        UserError: a grid of more points than `trials`; or of all points that were drawn, none can be trained.
    """
    if search.method == "grid":
        return _grid(search, spaces)
    listed = [
        {_SPACE: [number]}
        | {name: list(one.values) if isinstance(one, Choice) or one.step else one for name, one in space.items()}
        for number, space in enumerate(spaces.spaces)
    ]
    # Of lists alone the sampler draws without replacement, and as many as there are.
    limit = search.trials * DRAWS_PER_TRIAL
    finite = all(isinstance(values, list) for space in listed for values in space.values())
    draws = ParameterSampler(listed, min(limit, spaces.size or limit) if finite else limit, random_state=search.seed)
    return _different(spaces, draws, search.trials)


def _grid(search: Search, spaces: Spaces) -> Draws:
    size = spaces.size or 0
    if size > search.trials:
        raise UserError(
            f"search.trials: the grid has {size:,} points, and {search.trials:,} trials are allowed; set trials="
            f"{size}, fewer values, or method random"
        )
    listed = [
        {_SPACE: [number]} | {name: list(one.values) for name, one in space.items()}
        for number, space in enumerate(spaces.spaces)
    ]
    return _different(spaces, ParameterGrid(listed), size)


def _different(spaces: Spaces, draws: Any, trials: int) -> Draws:
    found: dict[str, Point] = {}
    misfits: dict[str, str] = {}
    for drawn in draws:
        values = dict(drawn)
        number = values.pop(_SPACE)
        point = Point(number, {name: values[name] for name in spaces.spaces[number]})
        if misfit := spaces.misfit(point):
            misfits.setdefault(spaces.key(point), misfit)
            continue
        found.setdefault(spaces.key(point), point)
        if len(found) == trials:
            break
    if not found:
        raise UserError(f"search.space: no point of {len(misfits):,} can be trained; {next(iter(misfits.values()))}")
    return Draws(list(found.values()), list(misfits.values()))
