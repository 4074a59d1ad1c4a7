"""The run tree, asked of MLflow itself, on a real SQLite store."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from components.close_run.close_run import close_run, find_run
from ferkit.addresses import without_secrets
from ferkit.errors import UserError
from ferkit.tracking import active_run, names, tree
from ferkit.tracking.candidates import NewCandidate, open_candidates, set_state
from ferkit.tracking.names import State
from ferkit.tracking.owner import Owner, claim
from ferkit.tracking.store import connect
from ferkit.tracking.views import EXPERIMENT_TAGS


@pytest.fixture(scope="module")
def address(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    return new_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def client(address: str) -> mlflow.MlflowClient:
    return connect(address)


def open_parent(client: mlflow.MlflowClient, pipeline_run_id: str, **tags: str):
    experiment = tree.experiment_id(client, names.EXPERIMENT)
    told = {names.PIPELINE_RUN_ID: pipeline_run_id, names.RUN_KIND: "pipeline", **tags}
    parent = client.create_run(experiment, tags=told)
    claim(client, parent, Owner(pipeline_run_id))
    return client.get_run(parent.info.run_id)


def candidates_of(client: mlflow.MlflowClient, parent, *states: str) -> list[str]:
    """Run ids of candidates, each brought so far."""
    new = [NewCandidate(f"c{number}", f"lenet-s{number}", "lenet", {}) for number in range(len(states))]
    run_ids = open_candidates(client, parent, new)
    for run_id, state in zip(run_ids, states, strict=True):
        set_state(client, run_id, state)
    return run_ids


def status_of(client: mlflow.MlflowClient, run_id: str) -> str:
    return client.get_run(run_id).info.status


def test_the_parent_is_found_by_its_tag_though_its_children_carry_it_too(client):
    parent = open_parent(client, "p2")
    [child] = candidates_of(client, parent, State.WAITING)
    client.set_tag(child, names.PIPELINE_RUN_ID, "p2")
    found = tree.find_parent(client, Owner("p2"), names.EXPERIMENT, "")
    assert found is not None
    assert found.info.run_id == parent.info.run_id
    assert tree.find_parent(client, Owner("nobody"), names.EXPERIMENT, "") is None
    assert tree.find_parent(client, Owner("p2"), "no such experiment", "") is None


def test_a_run_that_the_plugin_opened_in_its_own_experiment_is_found_there(client):
    experiment_id = client.create_experiment("the plugin's")
    opened = client.create_run(experiment_id, tags={names.PIPELINE_RUN_ID: "from the UI"})
    found = tree.find_parent(client, Owner("from the UI"), names.EXPERIMENT, experiment_id)
    assert found is not None
    assert found.info.run_id == opened.info.run_id


def test_all_runs_are_found_however_many_pages_they_are(client, monkeypatch):
    parent = open_parent(client, "pages")
    run_ids = candidates_of(client, parent, *[State.WAITING] * 5)
    monkeypatch.setattr(tree, "PAGE", 2)
    assert [run.info.run_id for run in tree.children(client, parent)] == run_ids


@pytest.mark.parametrize(
    ("state", "status", "of_the_unfinished"),
    [
        ("SUCCEEDED", "FINISHED", "KILLED"),
        ("COMPLETE", "FINISHED", "KILLED"),
        ("FAILED", "FAILED", "FAILED"),
        ("CANCELED", "KILLED", "KILLED"),
        ("RUNNING", "FAILED", "FAILED"),
        ("?", "FAILED", "FAILED"),
    ],
)
def test_close_run_ends_the_parent_as_the_pipeline_ended_and_candidates_by_their_states(
    client, state, status, of_the_unfinished
):
    parent = open_parent(client, f"close-{state}")
    states = [State.EVALUATED, State.TRAINED, State.PRUNED, State.FAILED, State.RUNNING, State.WAITING]
    run_ids = candidates_of(client, parent, *states)
    for run_id in run_ids:  # as the MLflow plugin does
        client.set_terminated(run_id, status="KILLED")
    close_run(client, parent, Owner(f"close-{state}"), state, "the backend's reason")
    assert status_of(client, parent.info.run_id) == status
    assert [status_of(client, run_id) for run_id in run_ids] == [
        *["FINISHED"] * 3,
        "FAILED",
        *[of_the_unfinished] * 2,
    ]
    assert (names.FAILURE in client.get_run(parent.info.run_id).data.tags) == (status != "FINISHED")


def test_a_good_run_is_finished_whatever_state_the_backend_hands_on(client):
    """Seen on a real backend: the exit task is told RUNNING."""
    parent = open_parent(client, "good", **{names.COMPLETED: "true"})
    close_run(client, parent, Owner("good"), "RUNNING")
    assert status_of(client, parent.info.run_id) == "FINISHED"


def test_a_lost_step_is_said_to_have_ended_without_a_word_and_running_is_not_quoted(client):
    parent = open_parent(client, "lost")
    ending = close_run(client, parent, Owner("lost"), "RUNNING")
    assert ending.failure.startswith("a step ended without a word; see pipeline run lost in Kubeflow")
    assert "RUNNING" not in str(ending)
    assert close_run(client, parent, Owner("lost"), "FAILED", "Task exit-handler-1 failed.").failure == ending.failure


def test_close_run_keeps_the_sentence_a_step_left(client):
    parent = open_parent(client, "sentence", **{names.FAILURE: "ingest: no column 'pixels'"})
    close_run(client, parent, Owner("sentence"), "FAILED", "Task exit-handler-1 failed.")
    assert client.get_run(parent.info.run_id).data.tags[names.FAILURE] == "ingest: no column 'pixels'"


def test_close_run_without_a_run_says_so(client):
    assert "no MLflow run was opened" in str(close_run(client, None, Owner("never"), "FAILED"))


def test_close_run_leaves_a_run_to_its_new_owner(client):
    parent = open_parent(client, "first")
    claim(client, parent, Owner("second"))
    assert find_run(client, Owner("first"), parent.info.run_id, names.EXPERIMENT) is None
    found = find_run(client, Owner("second"), parent.info.run_id, names.EXPERIMENT)
    assert found is not None
    assert found.info.run_id == parent.info.run_id


def test_a_step_opens_a_run_again_that_its_own_owner_closed(client):
    """The backend's retry of a pipeline run: the exit handler has ended the parent, only the failed steps run again."""
    owner = Owner("retried")
    parent = open_parent(client, "retried")
    close_run(client, parent, owner, "FAILED", "train: the disk is full")
    tree.enter(client, client.get_run(parent.info.run_id), owner)
    again = client.get_run(parent.info.run_id)
    assert again.info.status == "RUNNING"
    assert {names.FAILURE, names.CLOSED_BY} & set(again.data.tags) == set()


@pytest.mark.parametrize(("note", "before"), [("", ""), ("With **mixup**.", "With **mixup**.\n\n")])
def test_a_page_says_why_its_run_did_not_finish_until_it_goes_on(client, note: str, before: str):
    tags = {names.NOTE: note, "mlflow.note.content": note} if note else {}
    parent = open_parent(client, f"p-note-{len(note)}", **tags)
    run_id, owner = parent.info.run_id, Owner(f"p-note-{len(note)}")
    for sentence in ("train: no GPU <here>", "evaluate: none"):  # the second one is the command's, who knows more
        close_run(client, client.get_run(run_id), owner, "FAILED", sentence)
    ended = client.get_run(run_id)
    assert ended.data.tags["mlflow.note.content"] == f"{before}**did not finish**: train: no GPU \\<here\\>"
    tree.enter(client, ended, owner)
    assert client.get_run(run_id).data.tags.get("mlflow.note.content", "") == note


def test_what_a_page_says_of_a_verdict_stays_when_a_later_step_fails(client):
    parent = open_parent(client, "p-verdict", **{"mlflow.note.content": "**approved**: version 3"})
    close_run(client, parent, Owner("p-verdict"), "FAILED", "close_run: lost")
    tags = client.get_run(parent.info.run_id).data.tags
    assert (tags["mlflow.note.content"], tags[names.FAILURE]) == ("**approved**: version 3", "close_run: lost")


def test_a_step_leaves_a_run_alone_that_is_not_its_owners(client):
    parent = open_parent(client, "taken")
    claim(client, parent, Owner("another"))
    with pytest.raises(UserError, match="was taken over by another pipeline run, another; this step ends"):
        tree.enter(client, client.get_run(parent.info.run_id), Owner("taken"))


def test_a_step_leaves_a_run_alone_that_somebody_else_ended(client):
    parent = open_parent(client, "by hand")
    client.set_terminated(parent.info.run_id, status="KILLED")
    with pytest.raises(UserError, match=r"was ended as KILLED by somebody else; go on with it by `--resume"):
        tree.enter(client, client.get_run(parent.info.run_id), Owner("by hand"))
    assert status_of(client, parent.info.run_id) == "KILLED"


def test_a_run_without_a_parent_is_no_candidates(client):
    parent = open_parent(client, "no candidate")
    with pytest.raises(UserError, match="is no candidate's run"):
        tree.parent_of(client, parent.info.run_id)


def test_parameters_that_are_there_are_not_logged_again(client):
    parent = open_parent(client, "params")
    client.log_param(parent.info.run_id, "csv", "'quoted by mlflow run'")
    tree.log_new_parameters(client, parent.info.run_id, {"csv": "sample", "ingest.seed": 0})
    params = client.get_run(parent.info.run_id).data.params
    assert (params["csv"], params["ingest.seed"]) == ("'quoted by mlflow run'", "0")


def test_an_error_while_writing_leaves_the_run_open_for_a_retry(client):
    parent = open_parent(client, "interrupted")
    with pytest.raises(OSError, match="disk full"), active_run.writing_to(parent.info.run_id):
        raise OSError("disk full")
    assert client.get_run(parent.info.run_id).info.status == "RUNNING"


def test_somebody_elses_experiment_gets_the_saved_views(client):
    experiment_id = client.create_experiment("made by hand", tags={"owner": "ann"})
    tree.add_views(client, experiment_id)
    assert client.get_experiment(experiment_id).tags == {"owner": "ann"} | EXPERIMENT_TAGS


def test_writing_to_a_run_leaves_it_running(client):
    parent = open_parent(client, "writing")
    with active_run.writing_to(parent.info.run_id):
        mlflow.log_metric("val/accuracy", 0.5)
    run = client.get_run(parent.info.run_id)
    assert run.info.status == "RUNNING"
    assert run.data.metrics == {"val/accuracy": 0.5}


def test_the_environments_run_is_not_adopted(address, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "a-task-run-of-the-plugin")
    client = connect(address)
    parent = open_parent(client, "environment")
    with active_run.writing_to(parent.info.run_id):
        mlflow.log_metric("loss", 1.0)
    assert client.get_run(parent.info.run_id).data.metrics == {"loss": 1.0}


def _connect(address: str) -> None:
    tree.experiment_id(connect(address), names.EXPERIMENT)


@pytest.mark.slow
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
    with pytest.raises(UserError, match="no MLflow store can be made there"):
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
def test_addresses_are_shown_without_secrets(address, shown):
    assert without_secrets(address) == shown
