"""What `submit` does in MLflow for runs whose exit handler could not: on a real server, beside a stand-in Kubeflow."""

from __future__ import annotations

import time
from typing import Any

import pytest
from compiled_pipeline import MLFLOW, Submit
from kubeflow_api import KubeflowApi, Played

from ferkit.tracking import names, tree
from ferkit.tracking.owner import Owner, claim
from ferkit.tracking.store import connect
from pipeline.orphans import Candidates, answers, close_orphan, close_orphans
from pipeline.watch import RunOutcome

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def experiment(mlflow_address: str, request: pytest.FixtureRequest) -> str:
    """An experiment of the test's own."""
    connect(mlflow_address).create_experiment(request.node.name)
    return request.node.name


def open_parent(address: str, experiment: str, pipeline_run_id: str, lock: str = "") -> str:
    """A parent run as `open_run` leaves it: of a pipeline run, or of the command that holds `lock`."""
    client = connect(address)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    tags = {names.PIPELINE_RUN_ID: pipeline_run_id, names.RUN_KIND: "pipeline"}
    run = client.create_run(found.experiment_id, tags=tags)
    claim(client, run, Owner(pipeline_run_id, lock))
    return run.info.run_id


def run_of(address: str, run_id: str) -> Any:
    return connect(address).get_run(run_id)


@pytest.mark.parametrize(("state", "status"), [("CANCELED", "KILLED"), ("FAILED", "FAILED")])
def test_a_run_left_open_is_ended(mlflow_address: str, experiment: str, state: str, status: str) -> None:
    parent = open_parent(mlflow_address, experiment, "kfp-1")
    close_orphan(mlflow_address, experiment, "kfp-1", RunOutcome(state, "ingest: no such file"))
    closed = run_of(mlflow_address, parent)
    assert (closed.info.status, closed.data.tags[names.FAILURE]) == (status, "ingest: no such file")


def test_a_run_that_its_handler_ended_gets_the_steps_sentence(mlflow_address: str, experiment: str) -> None:
    parent = open_parent(mlflow_address, experiment, "kfp-1")
    tree.close(connect(mlflow_address), parent, "FAILED", "a step ended without a word")
    close_orphan(mlflow_address, experiment, "kfp-1", RunOutcome("FAILED", "ingest: no such file"))
    assert run_of(mlflow_address, parent).data.tags[names.FAILURE] == "ingest: no such file"


def test_a_terminated_run_that_its_handler_took_for_failed_is_killed(mlflow_address: str, experiment: str) -> None:
    parent = open_parent(mlflow_address, experiment, "kfp-1")
    tree.close(connect(mlflow_address), parent, "FAILED", "a step ended without a word")
    ended = run_of(mlflow_address, parent).info.end_time
    close_orphan(mlflow_address, experiment, "kfp-1", RunOutcome("CANCELED", ""))
    info = run_of(mlflow_address, parent).info
    assert (info.status, info.end_time) == ("KILLED", ended)


def test_a_run_that_ended_well_is_left_alone(mlflow_address: str, experiment: str) -> None:
    parent = open_parent(mlflow_address, experiment, "kfp-1")
    tree.close(connect(mlflow_address), parent)
    close_orphan(mlflow_address, experiment, "kfp-1", RunOutcome("FAILED", "close_run: pod deleted"))
    run = run_of(mlflow_address, parent)
    assert run.info.status == "FINISHED"
    assert names.FAILURE not in run.data.tags


def test_all_that_the_backend_says_has_ended_is_closed(mlflow_address: str, experiment: str) -> None:
    outcomes = {"gone": RunOutcome("CANCELED", ""), "done": RunOutcome("SUCCEEDED", ""), "here": None}
    opened = {name: open_parent(mlflow_address, experiment, name) for name in outcomes}
    opened["local"] = open_parent(mlflow_address, experiment, "gone", lock="/home/ann/lock")
    assert close_orphans(mlflow_address, experiment, outcomes.get) == 2
    statuses = {name: run_of(mlflow_address, run_id).info.status for name, run_id in opened.items()}
    assert statuses == {"gone": "KILLED", "done": "FINISHED", "here": "RUNNING", "local": "RUNNING"}


def test_nobody_is_waited_for_where_mlflow_does_not_answer() -> None:
    """The client would try for half a minute and more; a look is three seconds, or none where the port is closed."""
    begun = time.process_time()
    assert not answers(NOBODY)
    assert close_orphans(NOBODY, "any", lambda run_id: None) == 0
    close_orphan(NOBODY, "any", "kfp-1", RunOutcome("FAILED", ""))
    assert Candidates(NOBODY).name("1" * 32) == Candidates(NOBODY).failure("1" * 32) == ""
    assert time.process_time() - begun < 5


def test_waiting_hands_the_steps_sentence_to_mlflow(
    api: KubeflowApi, submit: Submit, mlflow_address: str, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.play = [
        Played("RUNNING", {"ingest": "Running"}),
        Played("FAILED", {"ingest": "Failed: main: Error (exit code 1): ingest: f.csv: row 7 has 2,303 pixels"}),
    ]
    opened = []
    answer = api.answer

    def answer_and_open(method: str, path: str, *rest: Any) -> Any:
        made = answer(method, path, *rest)
        if (method, path) == ("POST", "/apis/v2beta1/runs"):
            opened.append(open_parent(mlflow_address, experiment, made.run_id))
        return made

    monkeypatch.setattr(api, "answer", answer_and_open)
    result = submit("--wait", "--set", f"experiment={experiment}", tracking_uri=mlflow_address)
    assert result.exit_code == 1
    run = run_of(mlflow_address, opened[0])
    assert run.info.status == "FAILED"
    assert run.data.tags[names.FAILURE] == "ingest: f.csv: row 7 has 2,303 pixels"


def test_a_run_that_went_with_its_schedule_is_ended_by_the_next_submit(
    api: KubeflowApi, submit: Submit, mlflow_address: str, experiment: str
) -> None:
    """Kubernetes collects its Workflow with the schedule that owns it; Kubeflow has it RUNNING for ever."""
    arguments = ("--set", f"experiment={experiment}")
    submit(*arguments, tracking_uri=mlflow_address)
    [run] = api.runs
    run.recurring_run_id, run.state = "a-schedule-that-was-deleted", "RUNNING"
    parent = open_parent(mlflow_address, experiment, run.run_id)
    result = submit(*arguments, tracking_uri=mlflow_address)
    assert "in MLflow, ended what 1 ended pipeline run had left open" in result.stderr
    closed = run_of(mlflow_address, parent)
    assert closed.info.status == "KILLED"
    assert closed.data.tags[names.FAILURE] == "its schedule was deleted, and its pods with it"


def test_a_run_of_a_schedule_that_is_there_goes_on(
    api: KubeflowApi, submit: Submit, mlflow_address: str, experiment: str
) -> None:
    arguments = ("--set", f"experiment={experiment}")
    submit(*arguments, "--cron", "0 5 * * 1", tracking_uri=mlflow_address)
    submit(*arguments, tracking_uri=mlflow_address)
    [run] = api.runs
    run.recurring_run_id = api.recurring_runs[0].recurring_run_id
    api.play = [Played("RUNNING", {"ingest": "Running"})]
    parent = open_parent(mlflow_address, experiment, run.run_id)
    submit(*arguments, tracking_uri=mlflow_address)
    assert run_of(mlflow_address, parent).info.status == "RUNNING"


def test_an_mlflow_that_is_not_known_here_changes_nothing(api: KubeflowApi, submit: Submit) -> None:
    api.play = [Played("FAILED", {"ingest": "Failed: main: Error (exit code 1): ingest: no file"})]
    assert submit("--wait", tracking_uri=MLFLOW).exit_code == 1
