"""The candidates' runs, asked of MLflow: made once, found again, whole before their ids are handed out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from ferkit.errors import UserError
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NewCandidate, fail, open_candidates, settings_of, start, state_of
from ferkit.tracking.names import State
from ferkit.tracking.store import connect

SETTINGS = {"architecture": "lenet", "epochs": 3, "filters": [8, 16], "width": 0.5, "random_affine": True}


@pytest.fixture(scope="module")
def client(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    return connect(new_store(tmp_path_factory.mktemp("store")))


@pytest.fixture
def parent(client: mlflow.MlflowClient) -> Run:
    return client.create_run(tree.experiment_id(client, names.EXPERIMENT), tags={names.RUN_KIND: "pipeline"})


def candidates(count: int) -> list[NewCandidate]:
    return [NewCandidate(f"c{n}", f"lenet-s{n}", "lenet", {**SETTINGS, "seed": n}, {"a": "b"}) for n in range(count)]


def test_a_candidate_waits_with_its_settings_as_parameters_and_as_they_are(client, parent):
    [run_id] = open_candidates(client, parent, candidates(1))
    run = client.get_run(run_id)
    assert (run.info.status, state_of(run)) == ("SCHEDULED", State.WAITING)
    assert run.data.params == {key: str(value) for key, value in {**SETTINGS, "seed": 0}.items()}
    assert settings_of(run) == {**SETTINGS, "seed": 0}
    assert (run.data.tags["candidate_id"], run.data.tags["architecture"], run.data.tags["a"]) == ("c0", "lenet", "b")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_a_retried_step_finds_every_candidate_and_makes_what_is_missing(client, parent):
    first, second = open_candidates(client, parent, candidates(2))
    client.delete_tag(second, names.STATE)  # killed on the way, before its last word
    again = open_candidates(client, parent, candidates(3))
    assert again[:2] == [first, second]
    assert [state_of(run) for run in tree.children(client, parent)] == [State.WAITING] * 3


def test_a_run_that_was_made_twice_is_there_once(client, parent):
    """The reply to its making was lost, and MLflow's client asked again."""
    [run_id] = open_candidates(client, parent, candidates(1))
    tags = {**client.get_run(run_id).data.tags}
    client.create_run(parent.info.experiment_id, tags={k: v for k, v in tags.items() if k != "mlflow.user"})
    assert open_candidates(client, parent, candidates(1)) == [run_id]
    assert [run.info.run_id for run in tree.children(client, parent)] == [run_id]


def test_what_was_said_of_an_earlier_end_is_taken_back_at_the_start(client, parent):
    [run_id] = open_candidates(client, parent, candidates(1))
    tree.close(client, run_id, "KILLED", "the machine went down")
    start(client, run_id)
    run = client.get_run(run_id)
    assert (run.info.status, state_of(run)) == ("RUNNING", State.RUNNING)
    assert names.FAILURE not in run.data.tags


def test_a_failure_is_a_sentence_a_kind_and_a_state(client, parent):
    [run_id] = open_candidates(client, parent, candidates(1))
    fail(client, run_id, "lenet-s0: the loss is not a number", "Diverged")
    run = client.get_run(run_id)
    assert (run.info.status, state_of(run)) == ("FAILED", State.FAILED)
    assert (run.data.tags["failure"], run.data.tags["failure.kind"]) == (
        "lenet-s0: the loss is not a number",
        "Diverged",
    )


def test_a_run_that_is_no_candidate_has_no_settings(client, parent):
    with pytest.raises(UserError, match=r"has no candidate\.json"):
        settings_of(parent)
