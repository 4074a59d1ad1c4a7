"""The run tree, asked of MLflow itself, on a real SQLite store."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from components.addresses import without_secrets
from components.bad_input import BadInput
from components.close_run.close_run import close_run
from components.tracking import names, runs
from components.tracking.store import connect
from components.tracking.views import EXPERIMENT_TAGS


@pytest.fixture(scope="module")
def address(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    return new_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def client(address: str) -> mlflow.MlflowClient:
    return connect(address)


def open_parent(client: mlflow.MlflowClient, pipeline_run_id: str):
    experiment = runs.experiment_id(client, names.EXPERIMENT)
    return client.create_run(experiment, tags={names.PIPELINE_RUN_ID: pipeline_run_id, names.RUN_KIND: "pipeline"})


def candidate_of(parent, candidate_id: str = "c1") -> dict:
    return {
        "candidate_id": candidate_id,
        "parent_run_id": parent.info.run_id,
        "experiment_id": parent.info.experiment_id,
        "name": "lenet",
        "architecture": "lenet",
        "tags": {names.PIPELINE_RUN_ID: parent.data.tags[names.PIPELINE_RUN_ID]},
    }


def test_a_retried_candidate_finds_its_own_run(client):
    parent = open_parent(client, "p1")
    first = runs.open_candidate(client, candidate_of(parent))
    runs.close(client, first.info.run_id, "FAILED", "pod evicted")
    again = runs.open_candidate(client, candidate_of(parent))
    other = runs.open_candidate(client, candidate_of(parent, "c2"))
    assert again.info.run_id == first.info.run_id
    assert again.info.status == "RUNNING"
    assert names.FAILURE not in again.data.tags
    assert other.info.run_id != first.info.run_id
    assert [run.info.run_id for run in runs.children(client, parent)] == [first.info.run_id, other.info.run_id]


def test_the_parent_is_found_by_its_tag_though_its_children_carry_it_too(client):
    parent = open_parent(client, "p2")
    runs.open_candidate(client, candidate_of(parent))
    found = runs.find_parent(client, "p2")
    assert found is not None
    assert found.info.run_id == parent.info.run_id
    assert runs.find_parent(client, "nobody") is None


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("SUCCEEDED", "FINISHED"),
        ("COMPLETE", "FINISHED"),
        ("FAILED", "FAILED"),
        ("CANCELED", "KILLED"),
        ("?", "FAILED"),
    ],
)
def test_close_run_ends_parent_and_open_children_as_the_pipeline_ended(client, state, status):
    parent = open_parent(client, f"close-{state}")
    done = runs.open_candidate(client, candidate_of(parent, "done"))
    runs.close(client, done.info.run_id)
    still_open = runs.open_candidate(client, candidate_of(parent, "open"))
    close_run(client, f"close-{state}", state, "the backend's reason")
    assert client.get_run(parent.info.run_id).info.status == status
    assert client.get_run(still_open.info.run_id).info.status == status
    assert client.get_run(done.info.run_id).info.status == "FINISHED"
    assert (names.FAILURE in client.get_run(parent.info.run_id).data.tags) == (status != "FINISHED")


def test_close_run_keeps_the_sentence_a_step_left(client):
    parent = open_parent(client, "sentence")
    client.set_tag(parent.info.run_id, names.FAILURE, "ingest: no column 'pixels'")
    close_run(client, "sentence", "FAILED", "Task exit-handler-1 failed.")
    assert client.get_run(parent.info.run_id).data.tags[names.FAILURE] == "ingest: no column 'pixels'"


def test_close_run_without_a_run_says_so(client):
    assert "no MLflow run was opened" in str(close_run(client, "never", "FAILED"))


def test_parameters_that_are_there_are_not_logged_again(client):
    parent = open_parent(client, "params")
    client.log_param(parent.info.run_id, "csv", "'quoted by mlflow run'")
    runs.log_new_parameters(client, parent.info.run_id, {"csv": "sample", "ingest.seed": 0})
    assert client.get_run(parent.info.run_id).data.params == {"csv": "'quoted by mlflow run'", "ingest.seed": "0"}


def test_an_error_while_writing_leaves_the_run_open_for_a_retry(client):
    parent = open_parent(client, "interrupted")
    with pytest.raises(OSError, match="disk full"), runs.writing_to(parent.info.run_id):
        raise OSError("disk full")
    assert client.get_run(parent.info.run_id).info.status == "RUNNING"


def test_somebody_elses_experiment_gets_the_saved_views(client):
    experiment_id = client.create_experiment("made by hand", tags={"owner": "ann"})
    runs.add_views(client, experiment_id)
    assert client.get_experiment(experiment_id).tags == {"owner": "ann"} | EXPERIMENT_TAGS


def test_writing_to_a_run_leaves_it_running(client):
    parent = open_parent(client, "writing")
    with runs.writing_to(parent.info.run_id):
        mlflow.log_metric("val/accuracy", 0.5)
    run = client.get_run(parent.info.run_id)
    assert run.info.status == "RUNNING"
    assert run.data.metrics == {"val/accuracy": 0.5}


def test_the_environments_run_is_not_adopted(address, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "a-task-run-of-the-plugin")
    client = connect(address)
    parent = open_parent(client, "environment")
    with runs.writing_to(parent.info.run_id):
        mlflow.log_metric("loss", 1.0)
    assert client.get_run(parent.info.run_id).data.metrics == {"loss": 1.0}


def _connect(address: str) -> None:
    runs.experiment_id(connect(address), names.EXPERIMENT)


def test_four_processes_may_meet_a_store_that_is_not_there(tmp_path: Path):
    address = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_connect, args=(address,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert connect(address).get_experiment_by_name(names.EXPERIMENT) is not None
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["mlflow.db"]


def test_a_store_that_cannot_be_made_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="no MLflow store can be made there"):
        connect(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://bucket/fer.csv", "s3://bucket/fer.csv"),
        ("https://ann:pw@host:8443/fer.csv?X-Amz-Signature=1f#part", "https://host:8443/fer.csv"),
        ("https://ann:pw@host/sets.zip?sig=1#fer2013.csv", "https://host/sets.zip#fer2013.csv"),
        ("s3://bucket/set #2 (new?).csv", "s3://bucket/set #2 (new?).csv"),
        ("http://ann:pw@[::1]:5000/fer.csv", "http://[::1]:5000/fer.csv"),
        ("http://ann:pw@[your-server]/fer.csv?key=1", "http://[your-server]/fer.csv"),
        ("/data/fer.csv", "/data/fer.csv"),
        ("sample://?faces=700&seed=1", "sample://?faces=700&seed=1"),
    ],
)
def test_addresses_are_shown_without_what_gives_access(address, shown):
    assert without_secrets(address) == shown
