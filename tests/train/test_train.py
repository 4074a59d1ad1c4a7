"""A candidate's run in MLflow, asked of MLflow: figures, parameters, inputs, artifacts, the model; and how it fails."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.artifacts import download_artifacts

from components.bad_input import BadInput
from components.faces import Faces, Profile, SplitWriter, split_path, write_profile
from components.model.load import load_face_model
from components.train.candidate import parse_candidate
from components.train.state import FolderStore, State
from components.train.train import train_candidate
from ferkit.tracking.store import connect
from ferkit.tracking.tree import experiment_id

LOG = logging.getLogger("test")
RUNNER = Path(__file__).with_name("train_until_killed.py")


@pytest.fixture(scope="module")
def client(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    return connect(new_store(tmp_path_factory.mktemp("mlflow")))


@pytest.fixture(scope="module")
def folder(stripes: Faces, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    records = {}
    for split, rows in (("train", slice(0, 100)), ("validation", slice(100, 120)), ("test", slice(120, 140))):
        with SplitWriter(split_path(folder, split), stripes.side) as writer:
            writer.write(stripes.take(np.arange(140)[rows]))
        records[split] = writer.record()
    write_profile(folder, Profile({"sha256": "0" * 64, "csv": "stripes"}, stripes.side, records))
    return folder


def an_item(client: mlflow.MlflowClient, **candidate: Any) -> dict[str, Any]:
    """What `open_run` hands to the loop."""
    parent = client.create_run(experiment_id(client, "facial-expression"))
    sizes = {"architecture": "lenet", "filters": [8, 16], "dense": 16, "batch_size": 32, "epochs": 2}
    parsed = parse_candidate({**sizes, **candidate}, {})
    return {
        "candidate_id": "c0",
        "parent_run_id": parent.info.run_id,
        "experiment_id": parent.info.experiment_id,
        "name": parsed.name,
        "architecture": parsed.architecture,
        "parameters": parsed.dump(),
        "tags": {"git.commit": "abc"},
    }


def the_run(client: mlflow.MlflowClient, item: dict[str, Any]) -> Any:
    """The one run of a candidate."""
    (run,) = client.search_runs([item["experiment_id"]], f"tags.`mlflow.parentRunId` = '{item['parent_run_id']}'")
    return run


@contextmanager
def ending_at_the_first_epoch(
    monkeypatch: pytest.MonkeyPatch, save: Callable[[FolderStore, State], None]
) -> Iterator[None]:
    """Training in it breaks off when the first epoch's state has been saved, by `save`."""

    def broken_off(store: FolderStore, state: State) -> None:
        save(store, state)
        if state.history:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "save", broken_off)
        with pytest.raises(KeyboardInterrupt):
            yield


def weights_of(run: Any) -> list[np.ndarray]:
    """Of its logged network."""
    import keras

    (file,) = Path(download_artifacts(f"runs:/{run.info.run_id}/model")).rglob("*.keras")
    network: Any = keras.saving.load_model(file)
    return network.get_weights()


def test_the_run_holds_figures_inputs_pictures_and_a_model(
    client: mlflow.MlflowClient, folder: Path, stripes: Faces, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")  # seconds, for 10
    run_id = train_candidate(client, an_item(client), folder, "", LOG)
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"  # evaluate ends it
    assert run.data.params["filters"] == "[8, 16]"
    assert (run.data.tags["architecture"], run.data.tags["data.sha256"]) == ("lenet", "0" * 64)
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/macro_f1", "learning_rate"):
        assert [metric.step for metric in client.get_metric_history(run_id, name)] == [1, 2], name
    assert {"images_per_second", "epoch_seconds", "best_epoch", "parameters"} <= set(run.data.metrics)
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(run.data.metrics)
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"train", "validation"}
    files = {Path(file.path).name for file in client.list_artifacts(run_id, "training")}
    assert files == {"learning_curves.png", "activations.png", "summary.txt", "history.csv"}
    probabilities = load_face_model(f"runs:/{run_id}/model").probabilities(stripes.pixels[:3])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_retry_goes_on_in_the_same_run_and_a_finished_one_is_left_alone(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path
):
    item = an_item(client)
    run_id = train_candidate(client, item, folder, str(tmp_path), LOG)
    before = client.get_metric_history(run_id, "train/loss")
    assert train_candidate(client, item, folder, str(tmp_path), LOG) == run_id
    assert client.get_metric_history(run_id, "train/loss") == before
    assert client.get_run(run_id).info.status == "RUNNING"


def test_killed_and_started_again_it_goes_on_in_the_same_run_to_the_same_weights(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path
):
    """A process is killed by SIGKILL in the midst of an epoch; another goes on, and trains an equal one unbroken."""
    epochs = 6
    unbroken, broken = (an_item(client, epochs=epochs, batch_size=16, ema=0.1) for _ in range(2))

    def start(*items: dict[str, Any]) -> subprocess.Popen[bytes]:
        arguments = [json.dumps(items), str(folder), str(tmp_path), mlflow.get_tracking_uri()]
        return subprocess.Popen([sys.executable, str(RUNNER), *arguments])

    killed = start(broken)
    store = FolderStore(tmp_path / broken["parent_run_id"] / broken["candidate_id"])
    deadline = time.monotonic() + 120
    while not (store.path.exists() and 2 <= len(State.from_bytes(store.path.read_bytes()).history) < epochs):
        assert killed.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    assert killed.wait() != 0
    done = State.from_bytes(store.path.read_bytes())
    assert 2 <= len(done.history) < epochs
    assert not done.packaged
    assert start(broken, unbroken).wait() == 0
    one, two = (the_run(client, item) for item in (unbroken, broken))  # one run each
    for name in ("train/loss", "train/accuracy", "val/loss", "val/macro_f1", "learning_rate"):
        points = [[(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)] for run in (one, two)]
        assert points[0] == points[1]
        assert [step for step, _ in points[0]] == [*range(1, epochs + 1)]
    first, second = (weights_of(run) for run in (one, two))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_epoch_logged_but_not_saved_is_trained_again_and_logged_once(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    item = an_item(client)
    with ending_at_the_first_epoch(monkeypatch, lambda store, state: None):
        train_candidate(client, item, folder, str(tmp_path), LOG)
    run_id = train_candidate(client, item, folder, str(tmp_path), LOG)
    for name in ("train/loss", "val/macro_f1", "epoch_seconds"):
        assert [metric.step for metric in client.get_metric_history(run_id, name)] == [1, 2], name


def test_a_place_that_takes_no_state_is_found_before_training(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    item = an_item(client)
    with pytest.raises(BadInput, match="give a state_dir that can be written"):
        train_candidate(client, item, folder, str(tmp_path / "file"), LOG)
    run = client.search_runs([item["experiment_id"]], "tags.candidate_id = 'c0'", max_results=1)[0]
    assert (run.info.status, "train/loss" in run.data.metrics) == ("FAILED", False)


def test_a_training_that_failed_for_good_says_so_again(client: mlflow.MlflowClient, folder: Path, tmp_path: Path):
    item = an_item(client)
    store = FolderStore(tmp_path / item["parent_run_id"] / item["candidate_id"])
    store.save(State(failure="lenet-tuned-s0: the loss is not a number"))
    run = client.get_run(train_candidate(client, item, folder, str(tmp_path), LOG))
    assert (run.info.status, run.data.tags["failure"]) == ("FAILED", "lenet-tuned-s0: the loss is not a number")
    assert "train/loss" not in run.data.metrics


def test_divergence_ends_the_run_as_failed_and_gives_its_id(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    infinite = np.full(7, np.inf, np.float32)
    monkeypatch.setattr("components.train.train.class_weights", lambda profile: infinite)
    item = an_item(client)
    run = client.get_run(train_candidate(client, item, folder, str(tmp_path), LOG))
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"].startswith("lenet-tuned-s0: the loss is not a number after epoch 1 of 2")
    state = FolderStore(tmp_path / item["parent_run_id"] / item["candidate_id"]).load()
    assert state is not None
    assert state.failure == run.data.tags["failure"]


def event_file(client: mlflow.MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(client.download_artifacts(run_id, "tensorboard"))
    events.Reload()
    return [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]


def test_the_event_file_is_live_and_a_retry_goes_on_with_it(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    item = an_item(client, tensorboard=True)
    with ending_at_the_first_epoch(monkeypatch, FolderStore.save):
        train_candidate(client, item, folder, str(tmp_path), LOG)
    run = the_run(client, item)
    assert [step for step, _ in event_file(client, run.info.run_id, "train/loss")] == [1]
    assert train_candidate(client, item, folder, str(tmp_path), LOG) == run.info.run_id
    for name in ("train/loss", "val/macro_f1", "learning_rate"):
        logged = [
            (point.step, pytest.approx(point.value)) for point in client.get_metric_history(run.info.run_id, name)
        ]
        assert event_file(client, run.info.run_id, name) == logged
        assert [step for step, _ in logged] == [1, 2]


@pytest.mark.usefixtures("no_gpu")
def test_what_is_missing_ends_the_step_and_the_run(client: mlflow.MlflowClient, folder: Path):
    item = an_item(client, require_gpu=True)
    with pytest.raises(BadInput, match="finds no GPU here"):
        train_candidate(client, item, folder, "", LOG)
    assert the_run(client, item).info.status == "FAILED"
