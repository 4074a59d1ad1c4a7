"""The trials of a search: drawn, or left open for each to be decided when it starts; their runs are opened."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mlflow
from mlflow.entities import Run

from ferkit.search.draws import draw_points
from ferkit.search.pruning import find_unequal
from ferkit.search.record import Decision, Plan, as_candidate, log_decisions, open_record
from ferkit.search.settings import Search
from ferkit.search.space import Point, Spaces
from ferkit.settings import whole_numbers
from ferkit.tracking import names
from ferkit.tracking.candidates import NewCandidate, open_candidates


@dataclass(frozen=True)
class Drawn:
    """A search's trials, before anything is made of them.

    Attributes:
        plan: of the search.
        points: that were drawn; none for `tpe`.
        trials: by number.
    """

    plan: Plan
    points: Sequence[Point]
    trials: Sequence[NewCandidate]


def draw_trials(
    search: Search,
    train: Mapping[str, Any],
    identity: Sequence[Any],
    tags: Mapping[str, str],
    log: logging.Logger,
) -> Drawn:
    """The trials of a search.

    Args:
        search: the section.
        train: the section `train`, which holds for all trials.
        identity: whatever else makes two trainings different.
        tags: of every trial's run.
        log: for a warning of settings that the search cannot follow.

    Raises:
        UserError: a space that no candidate fits.
    """
    plan = Plan(search, whole_numbers(dict(train)), whole_numbers(list(identity)))
    spaces = plan.spaces
    if search.method == "tpe":
        points, number = [], spaces.at_most(search.trials)
        trials = [NewCandidate("", f"trial {trial}", "", {}, tags) for trial in range(1, number + 1)]
    else:
        points = _draw(search, spaces, log)
        decided = (as_candidate(number, point, spaces, plan.identity) for number, point in enumerate(points))
        trials = [replace(one, tags=tags) for one in decided]
    if len(trials) < search.trials and search.method != "grid":
        log.warning("search.space has %d different points: as many trials, not %d", len(trials), search.trials)
    if search.prune and (unequal := find_unequal(spaces)):
        log.warning(
            "search.prune: trials are held only against those of equal %s, in which this space's trials differ",
            ", ".join(unequal),
        )
    return Drawn(plan, points, trials)


def _draw(search: Search, spaces: Spaces, log: logging.Logger) -> Sequence[Point]:
    drawn = draw_points(search, spaces)
    if drawn.misfits:
        of, first = len(drawn.points) + len(drawn.misfits), drawn.misfits[0]
        log.warning(
            "search.space: left out %d of %d points, for their values do not go together; the first: %s",
            len(drawn.misfits),
            of,
            first,
        )
    return drawn.points


def open_trials(
    client: mlflow.MlflowClient, parent: Run, drawn: Drawn, tags: Mapping[str, str], parameters: Mapping[str, Any]
) -> list[str]:
    """The run ids of a search's trials, under its parent; what was drawn stands in the search's own run.

    Args:
        client: of the MLflow that holds the parent.
        parent: the pipeline run.
        drawn: the trials.
        tags: further ones of every trial's run.
        parameters: of their data, see `open_candidates`.
    """
    record_id = open_record(client, parent, drawn.plan)
    run_ids = open_candidates(client, parent, drawn.trials, {**tags, names.SEARCH_RUN: record_id}, parameters)
    decided = enumerate(zip(run_ids, drawn.points, strict=False))
    made = [Decision(number, run_id, point.space, point.values) for number, (run_id, point) in decided]
    log_decisions(client, record_id, made)
    return run_ids
