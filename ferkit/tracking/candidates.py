"""The candidates' runs of a pipeline run: made together, found again by number, told apart by their run ids."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import mlflow
from mlflow.artifacts import load_dict
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.errors import UserError, in_one_line
from ferkit.tracking import names, tree
from ferkit.tracking.doubled import discard_runs
from ferkit.tracking.failure import say_failed, take_back_failure
from ferkit.tracking.names import State

SETTINGS: Final = "candidate.json"
"""Artifact of a candidate's run: its resolved settings, as JSON types."""

NUMBER: Final = "candidate.number"
"""Tag of a candidate's run: its place in the list of candidates, from 0, by which a retried step finds it again. What
a later step makes of candidates (an ensemble) has none."""


@dataclass(frozen=True)
class NewCandidate:
    """A candidate whose run is to be opened.

    Attributes:
        candidate_id: equal for equal candidates on equal data; empty while its values are open (a trial of a search).
        name: of its run.
        architecture: of its network; empty while its values are open.
        settings: resolved, flat, as JSON types; empty while its values are open.
        tags: further ones of its run.
    """

    candidate_id: str
    name: str
    architecture: str
    settings: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)


def open_candidates(
    client: mlflow.MlflowClient,
    parent: Run,
    candidates: Sequence[NewCandidate],
    tags: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> list[str]:
    """The run ids of a parent's candidates, in their order; runs that are not there yet are made, SCHEDULED.

    A run is whole before its id is handed out: a step that was killed on the way makes what is missing.

    Args:
        client: of the MLflow that holds the parent.
        parent: the pipeline run.
        candidates: what is trained.
        tags: further ones of every candidate's run.
        parameters: of their data, which every run shows beside its candidate's own; none of those bears such a name.
    """
    there: dict[int, Run] = {}
    for run in _numbered(client, parent):
        there.setdefault(int(run.data.tags[NUMBER]), run)
    shared = {name: str(value) for name, value in (parameters or {}).items()}
    opened = [
        _open(client, parent, number, candidate, there.get(number), tags or {}, shared)
        for number, candidate in enumerate(candidates)
    ]
    made = [run for run in _numbered(client, parent) if int(run.data.tags[NUMBER]) < len(opened)]
    discard_runs(client, [run for run in made if run.info.run_id not in opened])
    return opened


def _numbered(client: mlflow.MlflowClient, parent: Run) -> list[Run]:
    """The candidates' runs, oldest first, without what later steps made of candidates."""
    return [run for run in tree.children(client, parent) if NUMBER in run.data.tags]


def open_ensemble(client: mlflow.MlflowClient, parent: Run, candidate: NewCandidate, shared: Mapping[str, str]) -> str:
    """The run id of what is made of a parent's candidates: the run that is there for an equal one, else a new one.

    Args:
        client: of the MLflow that holds the runs.
        parent: the pipeline run.
        candidate: the ensemble.
        shared: parameters that its run has beside its own: those that made its data.
    """

    def equal() -> list[Run]:
        return [
            run
            for run in tree.children(client, parent)
            if NUMBER not in run.data.tags and run.data.tags.get(names.CANDIDATE_ID) == candidate.candidate_id
        ]

    run_id = _open(client, parent, None, candidate, next(iter(equal()), None), {}, shared)
    discard_runs(client, [run for run in equal() if run.info.run_id != run_id])
    return run_id


def _open(
    client: mlflow.MlflowClient,
    parent: Run,
    number: int | None,
    candidate: NewCandidate,
    run: Run | None,
    shared_tags: Mapping[str, str],
    shared: Mapping[str, str],
) -> str:
    if run is not None and names.STATE in run.data.tags:
        return run.info.run_id
    if run is None:
        tags = {
            **shared_tags,
            **candidate.tags,
            MLFLOW_PARENT_RUN_ID: parent.info.run_id,
            names.RUN_KIND: "candidate",
            names.CANDIDATE_ID: candidate.candidate_id,
            names.ARCHITECTURE: candidate.architecture,
        }
        if number is not None:
            tags[NUMBER] = str(number)
        known = {name: value for name, value in tags.items() if value}
        run = client.create_run(parent.info.experiment_id, tags=known, run_name=candidate.name)
    run_id = run.info.run_id
    if shared:
        client.log_batch(
            run_id, params=[Param(name, value[: tree.LONGEST_PARAMETER]) for name, value in shared.items()]
        )
    if candidate.settings:
        describe(client, run_id, candidate)
    client.update_run(run_id, status="SCHEDULED")
    client.set_tag(run_id, names.STATE, State.WAITING)  # last: it says that the run is whole
    return run_id


def describe(client: mlflow.MlflowClient, run_id: str, candidate: NewCandidate) -> None:
    """Puts a candidate's settings into its run, which may be there already: a trial's are decided when it starts."""
    parameters = [Param(name, str(value)[: tree.LONGEST_PARAMETER]) for name, value in candidate.settings.items()]
    client.log_batch(
        run_id,
        params=parameters,
        tags=[
            RunTag(names.CANDIDATE_ID, candidate.candidate_id),
            RunTag(names.ARCHITECTURE, candidate.architecture),
        ],
    )
    client.log_dict(run_id, dict(candidate.settings), SETTINGS)


def identify(settings: Mapping[str, Any], *identity: Any) -> str:
    """A candidate's id: equal for trainings that are the same, whatever they are told that changes no result.

    Args:
        settings: resolved, flat, as JSON types.
        identity: whatever else makes two trainings different: versions of data and code.
    """
    return digest(with_effect(settings), *identity)


def with_effect(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings of a training that can change its result."""
    return {name: value for name, value in settings.items() if name not in names.WITHOUT_EFFECT}


def digest(*parts: Any) -> str:
    """16 hexadecimal characters of JSON types; the order of keys makes no difference."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def state_of(run: Run) -> str:
    """How far a candidate is; empty for a run that is none, or that an earlier version of this pipeline made."""
    return run.data.tags.get(names.STATE, "")


def has_failed(run: Run) -> bool:
    """Whether a candidate failed for good: by its state; by MLflow's status where it has none, as one of version 0.1.

    Where there is a state, the status is for display: Kubeflow's MLflow plugin ends runs and opens them again.
    """
    state = state_of(run)
    return state == State.FAILED if state else run.info.status == "FAILED"


def set_state(client: mlflow.MlflowClient, run_id: str, state: str) -> None:
    """Says how far a candidate is."""
    client.set_tag(run_id, names.STATE, state)


def fail(client: mlflow.MlflowClient, run_id: str, sentence: str, kind: str) -> None:
    """Ends a candidate for good, for a reason of its own: another try would meet it again."""
    client.set_tag(run_id, names.FAILURE_KIND, kind)
    say_failed(client, run_id, sentence)
    set_state(client, run_id, State.FAILED)
    client.set_terminated(run_id, status="FAILED")


def fail_by(client: mlflow.MlflowClient, run_id: str, opening: str, error: Exception, log: logging.Logger) -> None:
    """Ends a candidate for good by an error of its own: `opening`, then what the error says, is the sentence."""
    sentence = f"{opening}: {in_one_line(error)}"
    fail(client, run_id, sentence, type(error).__name__)
    log.warning("%s", sentence)
    log.debug("", exc_info=error)


def start(client: mlflow.MlflowClient, run_id: str) -> None:
    """Says that a candidate is in training, and takes back what was said of an earlier end."""
    take_back_failure(client, client.get_run(run_id))
    client.update_run(run_id, status="RUNNING")
    set_state(client, run_id, State.RUNNING)


def log_scores(client: mlflow.MlflowClient, run_id: str, metrics: Mapping[str, float]) -> None:
    """Logs to another run what a candidate's exported model scores, so that it compares with others of its kind."""
    shown = (names.metric("validation", ""), names.metric("test", ""))
    now = int(time.time() * 1000)
    scores = [Metric(name, value, now, 0) for name, value in metrics.items() if name.startswith(shown)]
    client.log_batch(run_id, metrics=scores)


def settings_of(run: Run) -> dict[str, Any]:
    """A candidate's resolved settings.

    Raises:
        UserError: the run has none, so `open_run` did not make it.
    """
    try:
        return load_dict(f"runs:/{run.info.run_id}/{SETTINGS}")
    except mlflow.MlflowException as error:
        raise UserError(
            f"run {run.info.run_id}: has no {SETTINGS} ({error.message}); use the id of a candidate of this pipeline"
        ) from None
