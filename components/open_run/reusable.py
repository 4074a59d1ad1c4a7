"""Says of candidates that are about to be trained that an earlier pipeline run trained equal ones."""

from __future__ import annotations

import logging

import mlflow
from mlflow.entities import Run

from ferkit.tracking import names, tree
from ferkit.tracking.candidates import state_of
from ferkit.tracking.names import State
from ferkit.tracking.reuse import find_evaluated
from ferkit.tracking.short_ids import SHOWN


def say_reusable(client: mlflow.MlflowClient, parent: Run, log: logging.Logger) -> None:
    """One line, where `train.reuse` is off and would spare trainings. A search's open trials say so when they start."""
    weights = parent.data.tags.get(names.WEIGHTS_VERSION)
    waiting = {
        run.data.tags[names.CANDIDATE_ID]: run
        for run in tree.children(client, parent)
        if state_of(run) == State.WAITING and names.CANDIDATE_ID in run.data.tags
    }
    asked = {one: run for one, run in waiting.items() if run.data.params.get("reuse") == "False"}
    if not asked or not weights:
        return
    found: dict[str, Run] = {}
    for run in find_evaluated(client, f"tags.`{names.WEIGHTS_VERSION}` = '{weights}'", parent.info.run_id):
        candidate_id = run.data.tags.get(names.CANDIDATE_ID, "")
        if candidate_id in asked:
            found.setdefault(candidate_id, run)
        if len(found) == len(asked):
            break
    if found:
        first, run = next(iter(found.items()))
        log.warning(
            "%s",
            f"{len(found)} of {len(waiting)} candidates were trained and evaluated before, on the same data "
            f"({asked[first].info.run_name}: run {run.info.run_id[:SHOWN]}); train.reuse=true takes them over",
        )
