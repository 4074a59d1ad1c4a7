"""A search as a part of its run's report: what was tried, how it went, what matters, how the best is trained again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import yaml

from ferkit.report.search_tables import best_candidates
from ferkit.search.importance import Importance, importances_of
from ferkit.search.trials import SearchRecord, TrialRow, describe_search
from ferkit.tracking.names import State

AT_ONCE: Final = 10
"""Trials that are seen at once; the others are folded away."""


class Dot(NamedTuple):
    """A trial in the history: across, 0 to 1 over all trials; up, 0 to 1 over all scores; how it ended."""

    across: float
    up: float
    ending: str
    text: str


@dataclass(frozen=True)
class History:
    """Macro-F1 on validation, trial after trial.

    Attributes:
        dots: of the trials that have a score, and of those that failed, which lie at the bottom.
        best: corners (across, up) of the line of the best so far.
        low: score at the bottom.
        high: score at the top.
    """

    dots: Sequence[Dot]
    best: Sequence[tuple[float, float]]
    low: float
    high: float


@dataclass(frozen=True)
class SearchSection:
    """What the report shows of a search.

    Attributes:
        outcome: how many trials, what became of them, how long they trained.
        method: how they were drawn.
        seed: of the draws.
        searched: the parameters that were, in the order of the space.
        spaces: how many there were.
        trials: the best first; behind them those that were pruned, then those that failed or never began.
        at_once: how many of them are seen without unfolding the others.
        run_ids: of all trials.
        history: as a chart.
        importances: of each space that has enough trials.
        reasons: why a space has no importances.
        best: the trial that won.
        config: its values, as the part `candidates` of `search/best.yaml`.
    """

    outcome: str
    method: str
    seed: int
    searched: Sequence[str]
    spaces: int
    trials: Sequence[TrialRow]
    at_once: int
    run_ids: frozenset[str]
    history: History
    importances: Sequence[Importance]
    reasons: Sequence[str]
    best: TrialRow
    config: str


def search_section(search: SearchRecord) -> SearchSection:
    """The section of a search that has a finished trial."""
    importances, reasons = importances_of(search)
    return SearchSection(
        outcome=describe_search(search),
        method=search.plan.search.method,
        seed=search.plan.search.seed,
        searched=search.plan.spaces.searched(),
        spaces=len(search.plan.spaces.spaces),
        trials=_in_order(search),
        at_once=AT_ONCE,
        run_ids=frozenset(trial.run_id for trial in search.trials),
        history=history_of(search.trials),
        importances=importances,
        reasons=reasons,
        best=search.best_first[0],
        config=yaml.safe_dump(best_candidates(search), sort_keys=False, allow_unicode=True, default_flow_style=None),
    )


def _in_order(search: SearchRecord) -> list[TrialRow]:
    others = [trial for trial in search.trials if not trial.is_finished]
    return search.best_first + sorted(others, key=lambda trial: trial.state != State.PRUNED)


def history_of(trials: Sequence[TrialRow]) -> History:
    """The chart of a search's history.

    Args:
        trials: by number, one of them finished.
    """
    scores = [trial.macro_f1 for trial in trials if trial.macro_f1 is not None]
    low, high = min(scores), max(scores)
    reach, last = high - low or 1.0, max(len(trials) - 1, 1)
    dots: list[Dot] = []
    best: list[tuple[float, float]] = []
    for place, trial in enumerate(trials):
        across = place / last
        if trial.is_finished and trial.macro_f1 is not None:
            up = (trial.macro_f1 - low) / reach
            before = best[-1][1] if best else up
            best += [(across, before), (across, max(before, up))]
            dots.append(Dot(across, up, "finished", f"{trial.name}: {trial.macro_f1:.3f}"))
        elif trial.state in (State.PRUNED, State.FAILED):
            up = 0.0 if trial.macro_f1 is None else (trial.macro_f1 - low) / reach
            score = "" if trial.macro_f1 is None else f", {trial.macro_f1:.3f} at its last epoch"
            dots.append(Dot(across, up, trial.state, f"{trial.name}: {trial.state}{score}"))
    return History(dots, [*best, (1.0, best[-1][1])] if best else [], low, high)
