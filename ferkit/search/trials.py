"""A search's trials, read from MLflow: what was decided, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.durations import duration
from ferkit.search.record import Plan, decisions, read_plan
from ferkit.search.space import Point
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NUMBER, state_of
from ferkit.tracking.names import State


@dataclass(frozen=True)
class TrialRow:
    """A trial.

    Attributes:
        number: from 1.
        run_id: MLflow's.
        name: of its run.
        state: see `ferkit.tracking.names.State`.
        point: its values; None while they are open.
        macro_f1: on validation: of the kept epoch, or of the last one of a pruned trial; None where it has none.
        accuracy: likewise.
        loss: likewise.
        epoch: the kept one; of a pruned trial the last.
        seconds: that it trained; None where it did not end by itself, or was reused from an earlier run.
        started: when its training began, milliseconds of the epoch.
        failure: the sentence with which it failed.
    """

    number: int
    run_id: str
    name: str
    state: str
    point: Point | None
    macro_f1: float | None
    accuracy: float | None
    loss: float | None
    epoch: int | None
    seconds: float | None
    started: int
    failure: str

    @property
    def is_finished(self) -> bool:
        """Whether it was trained to its end."""
        return self.state in (State.TRAINED, State.EVALUATED)


@dataclass(frozen=True)
class SearchRecord:
    """A search and its trials.

    Attributes:
        run_id: of the search's own run.
        plan: of the search.
        trials: by number.
    """

    run_id: str
    plan: Plan
    trials: Sequence[TrialRow]

    @property
    def best_first(self) -> list[TrialRow]:
        """The trials that were trained to their end, best on validation first; of equal ones the earlier."""
        finished = [trial for trial in self.trials if trial.is_finished]
        return sorted(finished, key=lambda trial: -(trial.macro_f1 if trial.macro_f1 is not None else -math.inf))

    def count(self, state: str) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def seconds(self) -> float:
        """How long all trials trained, added up."""
        return sum(trial.seconds or 0.0 for trial in self.trials)


def describe_search(search: SearchRecord) -> str:
    """How many trials there were, what became of them, and how long they trained, in one line."""
    finished, pruned, failed = len(search.best_first), search.count(State.PRUNED), search.count(State.FAILED)
    return (
        f"{len(search.trials)} trials in {duration(search.seconds)} of training: {finished} finished, {pruned} pruned, "
        f"{failed} failed"
    )


def find_search(client: mlflow.MlflowClient, parent: Run) -> SearchRecord | None:
    """The search of a pipeline run, with its trials; None where it had none."""
    records = tree.children(client, parent, "search")
    if not records:
        return None
    record = records[0]
    points = {one.run_id: one.point for one in decisions(record)}
    runs = [run for run in tree.children(client, parent) if run.data.tags.get(names.SEARCH_RUN) == record.info.run_id]
    trials = sorted((_trial(run, points) for run in runs), key=lambda trial: trial.number)
    return SearchRecord(record.info.run_id, read_plan(record), trials)


def search_of_trial(client: mlflow.MlflowClient, trial: Run) -> SearchRecord | None:
    """The search that a candidate is a trial of; None for any other candidate."""
    if names.SEARCH_RUN not in trial.data.tags:
        return None
    return find_search(client, client.get_run(trial.data.tags[MLFLOW_PARENT_RUN_ID]))


def _trial(run: Run, points: Mapping[str, Point]) -> TrialRow:
    metrics: Mapping[str, Any] = run.data.metrics
    state = state_of(run)
    found: dict[str, float | None] = {}
    for name, best in names.BEST_VALIDATION.items():
        found[name] = metrics.get(best, metrics.get(f"val/{name}") if state == State.PRUNED else None)
    epoch = metrics.get(names.PRUNED_EPOCH, metrics.get("best_epoch"))
    return TrialRow(
        number=int(run.data.tags[NUMBER]) + 1,
        run_id=run.info.run_id,
        name=str(run.info.run_name),
        state=state,
        point=points.get(run.info.run_id),
        **found,
        epoch=None if epoch is None else int(epoch),
        seconds=None if names.REUSED_FROM in run.data.tags else metrics.get("train_seconds"),
        started=int(run.info.start_time or 0),
        failure=run.data.tags.get(names.FAILURE, ""),
    )
