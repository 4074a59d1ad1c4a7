"""How much of the variance of a search's scores is due to each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from ferkit.errors import UserError
from ferkit.search.space import Spaces
from ferkit.search.study import Told, as_trial, name_in
from ferkit.search.trials import SearchRecord

FEWEST: Final = 10
"""Finished trials of a space below which importances are noise."""


@dataclass(frozen=True)
class Importance:
    """Of the parameters of one space.

    Attributes:
        space: which one, from 0.
        shares: by parameter, largest first; they add up to 1.
        trials: that it is taken from.
    """

    space: int
    shares: dict[str, float]
    trials: int


def importances_of(search: SearchRecord) -> tuple[list[Importance], list[str]]:
    """The importances in each of a search's spaces that has finished trials; why there are none in the others."""
    told = [
        Told(trial.point, "trained", trial.macro_f1 or 0.0)
        for trial in search.trials
        if trial.is_finished and trial.point is not None
    ]
    found: list[Importance] = []
    reasons: list[str] = []
    for space in sorted({one.point.space for one in told}):
        try:
            found.append(importance_of(search.plan.spaces, space, told))
        except UserError as error:
            reasons.append(str(error))
    return found, list(dict.fromkeys(reasons))


def importance_of(spaces: Spaces, space: int, told: Sequence[Told]) -> Importance:
    """Importances by PED-ANOVA (Watanabe, Bansal and Hutter, 2023), from the trials of a space that finished.

    How far each parameter alone tells the best tenth of the trials from all of them.

    Raises:
        UserError: too few trials, or nothing is searched, in the space.
    """
    finished = [one for one in told if one.ending == "trained" and one.point.space == space]
    searched = [name for name, dimension in spaces.spaces[space].items() if dimension.size != 1]
    if len(finished) < FEWEST:
        raise UserError(
            f"importance of the parameters is not shown: {len(finished)} trials finished, and it takes {FEWEST}"
        )
    if len(searched) < 2:
        raise UserError("importance of the parameters is not shown: it takes two that are searched")
    if len({one.value for one in finished}) == 1:
        raise UserError("importance of the parameters is not shown: all trials have the same score")
    study = optuna.create_study(direction="maximize")
    study.add_trials([as_trial(one, spaces) for one in finished])
    found = get_param_importances(
        study,
        evaluator=PedAnovaImportanceEvaluator(),
        params=[name_in(spaces, space, name) for name in searched],
    )
    own = {name_in(spaces, space, name): name for name in searched}
    return Importance(space, {own[name]: float(share) for name, share in found.items()}, len(finished))
