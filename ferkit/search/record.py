"""A search's record in MLflow: a run of its own under the parent, in which every trial's values are decided once.

The decision on the nth trial is the write-once parameter `decision/<n>`: of any number of trials that start at the same
moment and ask for the same values, one has the first word, and the others ask again, knowing of it. Two trials that
read the same history proposed the same values in 89 of 100 tries.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import mlflow
from mlflow.artifacts import load_dict
from mlflow.entities import Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.errors import UserError
from ferkit.search.settings import Search
from ferkit.search.space import Point, Spaces
from ferkit.search.study import Told, next_point
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NUMBER, NewCandidate, describe, identify, state_of
from ferkit.tracking.doubled import discard_runs
from ferkit.tracking.names import State
from ferkit.tracking.write_once import write_once
from ferkit.user_input import shorten

ARTIFACT: Final = "search.json"
PREFIX: Final = "decision/"
LONGEST_TRIAL_NAME: Final = 120


@dataclass(frozen=True)
class Plan:
    """The plan of a search: all that a trial needs, when it starts, to be decided.

    Attributes:
        search: the section.
        train: the section `train`, which holds for all trials.
        identity: whatever else makes two trainings different: versions of data and code.
    """

    search: Search
    train: Mapping[str, Any]
    identity: Sequence[Any]

    @property
    def spaces(self) -> Spaces:
        """Where."""
        return Spaces.parse(self.search, self.train)

    def dump(self) -> dict[str, Any]:
        """As JSON types."""
        return {"search": self.search.model_dump(mode="json"), "train": self.train, "identity": list(self.identity)}

    @classmethod
    def load(cls, dump: Mapping[str, Any]) -> Self:
        """What `dump` returned."""
        return cls(Search.parse(dump["search"]), dump["train"], dump["identity"])


@dataclass(frozen=True)
class Decision:
    """What a trial trains.

    Attributes:
        trial: its number, from 0.
        run_id: its run.
        space: which of the search's spaces.
        values: a candidate, as a person would write it.
    """

    trial: int
    run_id: str
    space: int
    values: Mapping[str, Any]

    @property
    def point(self) -> Point:
        """Its place in the search."""
        return Point(self.space, self.values)


def open_record(client: mlflow.MlflowClient, parent: Run, plan: Plan) -> str:
    """The id of the search's own run under a parent: the one that is there, else a new one."""
    there = tree.children(client, parent, "search")
    if there:
        run_id = there[0].info.run_id
        client.update_run(run_id, status="RUNNING")
    else:
        tags = {MLFLOW_PARENT_RUN_ID: parent.info.run_id, names.RUN_KIND: "search"}
        name = f"search: {plan.search.method}, {plan.search.trials} trials"
        run_id = client.create_run(parent.info.experiment_id, tags=tags, run_name=name).info.run_id
        made = tree.children(client, parent, "search")
        discard_runs(client, [run for run in made if run.info.run_id != run_id])
    client.log_dict(run_id, plan.dump(), ARTIFACT)
    return run_id


def read_plan(record: Run) -> Plan:
    """The plan of a search, from its own run."""
    return Plan.load(load_dict(f"runs:/{record.info.run_id}/{ARTIFACT}"))


def decisions(record: Run) -> list[Decision]:
    """All decisions of a search, in the order in which they were made."""
    found = {
        int(name.removeprefix(PREFIX)): Decision(**json.loads(value))
        for name, value in record.data.params.items()
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).isdecimal()
    }
    return [found[number] for number in sorted(found)]


def log_decisions(client: mlflow.MlflowClient, record_id: str, made: Sequence[Decision]) -> None:
    """Writes down what was drawn when the run opened. Written once more, it is the same."""
    params = [Param(f"{PREFIX}{number}", _as_text(one)) for number, one in enumerate(made, 1)]
    for start in range(0, len(params), 100):
        client.log_batch(record_id, params=params[start : start + 100])


def decide(client: mlflow.MlflowClient, trial: Run, log: logging.Logger) -> Run:
    """Decides the values of a trial that are still open, by what MLflow says of the others, and puts them into its run.

    A trial that was decided before keeps its values, whatever has become of the others since then.

    Args:
        client: of the MLflow that holds the run.
        trial: a candidate's run; one of no search, or with its values drawn, is left as it is.
        log: for a line that says what was decided.

    Returns:
        The run, with its values.

    Raises:
        UserError: no point of the space is left.
    """
    record_id = trial.data.tags.get(names.SEARCH_RUN)
    if not record_id or names.CANDIDATE_ID in trial.data.tags:
        return trial
    run_id = trial.info.run_id
    plan = read_plan(client.get_run(record_id))
    spaces = plan.spaces
    while True:
        made = decisions(client.get_run(record_id))
        own = next((one for one in made if one.run_id == run_id), None)
        if own is not None:
            break
        point = next_point(plan.search, spaces, told_of(client, trial, made))
        if point is None:
            raise UserError("no point of search.space is left that no other trial has; set fewer trials")
        wanted = Decision(int(trial.data.tags[NUMBER]), run_id, point.space, point.values)
        write_once(client, record_id, f"{PREFIX}{len(made) + 1}", _as_text(wanted))
    candidate = as_candidate(own.trial, own.point, spaces, plan.identity)
    client.update_run(run_id, name=candidate.name)
    describe(client, run_id, candidate)
    log.info("%s", candidate.name)
    return client.get_run(run_id)


def _as_text(decision: Decision) -> str:
    return json.dumps(asdict(decision))


def as_candidate(number: int, point: Point, spaces: Spaces, identity: Sequence[Any]) -> NewCandidate:
    """A trial whose values are known.

    Raises:
        UserError: they do not go together.
    """
    try:
        candidate = spaces.resolve(point)
    except UserError as error:
        raise UserError(f"trial {number + 1}: {error} (in {shorten(dict(point.values))})") from None
    settings = candidate.dump()
    return NewCandidate(
        identify(settings, *identity), trial_name(number, point, spaces), candidate.architecture, settings
    )


def trial_name(number: int, point: Point, spaces: Spaces) -> str:
    """A trial's name: its number, from 1, and what is searched: `trial 7: lenet learning_rate=0.003`."""
    searched = spaces.searched()
    said = [str(point.values["architecture"])]
    said += [f"{name}={value}" for name, value in point.values.items() if name in searched and name != "architecture"]
    return names.cut_name(f"trial {number + 1}: {' '.join(said)}", LONGEST_TRIAL_NAME)


def told_of(client: mlflow.MlflowClient, trial: Run, made: Sequence[Decision]) -> list[Told]:
    """What MLflow says of the trials that were decided, in the decisions' order; one whose end is unknown runs."""
    parent = client.get_run(trial.data.tags[MLFLOW_PARENT_RUN_ID])
    runs = {run.info.run_id: run for run in tree.children(client, parent)}
    return [_told(one, runs.get(one.run_id)) for one in made]


def _told(decision: Decision, run: Run | None) -> Told:
    state = state_of(run) if run is not None else ""
    metrics = run.data.metrics if run is not None else {}
    if state in (State.TRAINED, State.EVALUATED) and names.BEST_MACRO_F1 in metrics:
        return Told(decision.point, "trained", metrics[names.BEST_MACRO_F1])
    if state == State.PRUNED:
        value = metrics.get(names.EPOCH_MACRO_F1, 0.0)
        return Told(decision.point, "pruned", value, int(metrics.get(names.PRUNED_EPOCH, 1)))
    if state == State.FAILED and run is not None:
        return Told(decision.point, "diverged" if run.data.tags.get(names.FAILURE_KIND) == "Diverged" else "failed")
    return Told(decision.point)
