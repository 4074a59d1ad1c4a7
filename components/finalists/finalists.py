"""Which of the candidates are evaluated on test."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import mlflow

from ferkit.errors import UserError
from ferkit.search.trials import SearchRecord, search_of_trial
from ferkit.tracking import names
from ferkit.tracking.candidates import state_of
from ferkit.tracking.names import State

MOST_REASONS: Final = 5
"""Reasons that a sentence lists: two hundred trials may each have their own."""


def choose_finalists(client: mlflow.MlflowClient, run_ids: Sequence[str], log: logging.Logger) -> list[str]:
    """The run ids of all candidates that trained, in their order; of a search, those of its best trials, best first.

    Raises:
        UserError: none did; with the reason of each.
    """
    runs = [client.get_run(run_id) for run_id in run_ids]
    trained = [run for run in runs if state_of(run) in (State.TRAINED, State.EVALUATED)]
    if not trained:
        reasons = dict.fromkeys(run.data.tags.get(names.FAILURE, f"{run.info.run_name}: not trained") for run in runs)
        raise UserError(f"none of {len(runs)} candidates could be trained: {_shortened(list(reasons))}")
    search = search_of_trial(client, trained[0])
    if search is not None:
        return _best_trials(search, log)
    failed = _failed(len(runs) - len(trained))
    log.info("%d of %d candidates%s", len(trained), len(runs), failed)
    return [run.info.run_id for run in trained]


def _best_trials(search: SearchRecord, log: logging.Logger) -> list[str]:
    best = search.best_first[: search.plan.search.finalists]
    pruned = search.count(State.PRUNED)
    log.info(
        "%d of %d trials%s%s; best on validation: %s, macro-F1 %.3f",
        len(best),
        len(search.trials),
        f"; {pruned} pruned" if pruned else "",
        _failed(search.count(State.FAILED)),
        best[0].name,
        best[0].macro_f1,
    )
    return [trial.run_id for trial in best]


def _failed(number: int) -> str:
    return f"; {number} failed" if number else ""


def _shortened(reasons: Sequence[str]) -> str:
    more = f"; and {len(reasons) - MOST_REASONS} more" if len(reasons) > MOST_REASONS else ""
    return "; ".join(reasons[:MOST_REASONS]) + more
