"""Optuna's part: the next point of a TPE search, and whether a trial has fallen behind.

There is no stored study: it is rebuilt in memory from what MLflow says, each time that it is used. So only those
samplers and pruners serve that keep no state of their own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import PercentilePruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ferkit.search.dimensions import Choice, Dimension
from ferkit.search.settings import Search
from ferkit.search.space import Point, Spaces

optuna.logging.set_verbosity(optuna.logging.WARNING)

KEPT_PERCENT: Final = 75.0
"""Of the finished trials: a trial below these at an epoch is pruned."""

FINISHED_FIRST: Final = 5
"""Trials that have to have finished before any is pruned."""

MOST_RANDOM: Final = 10
"""Trials that TPE draws at random before it models anything: Optuna's default. Of a short search, a third."""


@dataclass(frozen=True)
class Told:
    """What is known of a trial.

    Attributes:
        point: its values.
        ending: `trained`, `pruned`, `diverged`, `failed`; empty while it runs.
        value: macro-F1 on validation: of the kept epoch, or of the last one for a pruned trial.
        epoch: at which it was pruned.
    """

    point: Point
    ending: str = ""
    value: float = math.nan
    epoch: int = 0


def next_point(search: Search, spaces: Spaces, told: Sequence[Told]) -> Point | None:
    """Where the next trial of a TPE search goes: the same for the same trials so far. None where no point is left.

    Trials that run count as bad ones meanwhile, so that trials side by side spread out. What is taken already is
    replaced by a random point that is not.

    Args:
        search: its seed, and how many trials there will be.
        spaces: where.
        told: every trial that has been decided, in the order of the decisions.
    """
    seed = np.random.SeedSequence((search.seed, len(told)))
    taken = {spaces.key(one.point) for one in told}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # group and constant_liar have been that for years
        sampler = TPESampler(
            seed=int(seed.generate_state(1)[0]),
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=min(MOST_RANDOM, max(1, search.trials // 3)),
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials([as_trial(one, spaces) for one in told])
    point = _suggested(study.ask(), spaces)
    if spaces.key(point) not in taken:
        return point
    return spaces.draw_untaken(taken, np.random.default_rng(seed))


def as_trial(told: Told, spaces: Spaces) -> FrozenTrial:
    """A trial as Optuna knows it.

    One that diverged is added as pruned before its first epoch, which Optuna ranks last: a learning rate at which
    nothing trains is worth knowing. What failed for another reason says nothing about its values.
    """
    state = {
        "trained": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "diverged": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }.get(told.ending, TrialState.RUNNING)
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    if len(spaces.spaces) > 1:
        params["space"], distributions["space"] = told.point.space, _spaces_of(spaces)
    for name, dimension in spaces.spaces[told.point.space].items():
        if dimension.size != 1:
            value = told.point.values[name]
            own = name_in(spaces, told.point.space, name)
            params[own] = dimension.values.index(value) if isinstance(dimension, Choice) else value
            distributions[own] = _distribution(dimension)
    return create_trial(
        state=state,
        params=params,
        distributions=distributions,
        value=told.value if state == TrialState.COMPLETE else None,
        intermediate_values={told.epoch: told.value} if told.ending == "pruned" else {},
    )


def _suggested(trial: Trial, spaces: Spaces) -> Point:
    number = trial.suggest_categorical("space", range(len(spaces.spaces))) if len(spaces.spaces) > 1 else 0
    values: dict[str, Any] = {}
    for name, dimension in spaces.spaces[number].items():
        own = name_in(spaces, number, name)
        if dimension.size == 1:
            values[name] = dimension.values[0]
        elif isinstance(dimension, Choice):
            values[name] = dimension.values[trial.suggest_categorical(own, range(len(dimension.values)))]
        elif dimension.whole:
            low, high, step = int(dimension.low), int(dimension.high), int(dimension.step or 1)
            values[name] = trial.suggest_int(own, low, high, step=step, log=dimension.log)
        else:
            drawn = trial.suggest_float(own, dimension.low, dimension.high, step=dimension.step, log=dimension.log)
            values[name] = dimension.at(drawn)
    return Point(number, values)


def name_in(spaces: Spaces, number: int, name: str) -> str:
    """A parameter of one space is not that of another: its values differ."""
    return f"{number}.{name}" if len(spaces.spaces) > 1 else name


def _spaces_of(spaces: Spaces) -> CategoricalDistribution:
    return CategoricalDistribution(range(len(spaces.spaces)))


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(range(len(dimension.values)))
    if dimension.whole:
        low, high = int(dimension.low), int(dimension.high)
        return IntDistribution(low, high, log=dimension.log, step=int(dimension.step or 1))
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def first_epoch(epochs: int) -> int:
    """The epoch from which on a trial may be pruned: a third of all."""
    return math.ceil(epochs / 3)


def has_fallen_behind(scores: Mapping[int, float], finished: Sequence[Mapping[int, float]], epochs: int) -> bool:
    """Whether a trial's best score so far is below the worst quarter's of the finished ones, at its last epoch.

    Never before a third of its epochs, nor at the last one, nor before `FINISHED_FIRST` trials have come so far.

    Args:
        scores: macro-F1 on validation by epoch, from 1, of the trial.
        finished: the same of the trials to hold it against.
        epochs: that the trial is to train.
    """
    if not scores or max(scores) >= epochs:
        return False
    pruner = PercentilePruner(
        KEPT_PERCENT,
        n_startup_trials=FINISHED_FIRST,
        n_warmup_steps=first_epoch(epochs),
        n_min_trials=FINISHED_FIRST,
    )
    study = optuna.create_study(direction="maximize")
    study.add_trials([create_trial(value=max(one.values()), intermediate_values=dict(one)) for one in finished if one])
    running = create_trial(state=TrialState.RUNNING, intermediate_values=dict(scores))
    return pruner.prune(study, running)
