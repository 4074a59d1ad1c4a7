"""A candidate's run in MLflow, asked of MLflow: figures, parameters, inputs, artifacts, the model; and how it fails."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.artifacts import download_artifacts

from components.open_run.resolve import resolve_candidates
from components.train.train import train_candidate
from ferkit.data import Faces
from ferkit.errors import OutOfReach
from ferkit.serving.load import load_face_model
from ferkit.tracking.candidates import open_candidates
from ferkit.tracking.tree import experiment_id
from ferkit.training.state import FolderStore, State

LOG = logging.getLogger("test")
RUNNER = Path(__file__).with_name("train_until_killed.py")


def a_candidate(client: mlflow.MlflowClient, **given: Any) -> str:
    """The run of a candidate, as `open_run` makes one under a parent of its own."""
    parent = client.create_run(experiment_id(client, "facial-expression"), tags={"run.kind": "pipeline"})
    sizes = {"architecture": "lenet", "filters": [8, 16], "dense": 16, "batch_size": 32, "epochs": 2}
    [run_id] = open_candidates(client, parent, resolve_candidates([{**sizes, **given}], {}, ()))
    return run_id


def store_of(client: mlflow.MlflowClient, run_id: str, state_dir: Path) -> FolderStore:
    """Where the candidate's training keeps its state."""
    return FolderStore(state_dir / client.get_run(run_id).data.tags["mlflow.parentRunId"] / run_id)


def state(client: mlflow.MlflowClient, run_id: str) -> tuple[str, str]:
    """Of a candidate: its own, and what MLflow shows."""
    run = client.get_run(run_id)
    return run.data.tags["candidate.state"], run.info.status


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


def weights_of(run_id: str) -> list[np.ndarray]:
    """Of its logged network."""
    import keras

    (file,) = Path(download_artifacts(f"runs:/{run_id}/model")).rglob("*.keras")
    network: Any = keras.saving.load_model(file)
    return network.get_weights()


def test_the_run_holds_figures_inputs_pictures_and_a_model(
    client: mlflow.MlflowClient, folder: Path, stripes: Faces, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")  # seconds, for 10
    run_id = a_candidate(client)
    assert state(client, run_id) == ("waiting", "SCHEDULED")
    train_candidate(client, run_id, folder, "", LOG)
    run = client.get_run(run_id)
    assert state(client, run_id) == ("trained", "FINISHED")
    assert run.data.params["filters"] == "[8, 16]"
    assert (run.data.tags["architecture"], run.data.tags["data.sha256"]) == ("lenet", "0" * 64)
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/macro_f1", "learning_rate"):
        assert [metric.step for metric in client.get_metric_history(run_id, name)] == [1, 2], name
    once = {"images_per_second", "best_epoch", "parameters", "train_seconds"}
    once |= {f"best_val/{name}" for name in ("loss", "accuracy", "macro_f1")}
    for name in once:
        assert [metric.step for metric in client.get_metric_history(run_id, name)] == [0], name
    kept = int(run.data.metrics["best_epoch"])
    history = {point.step: point.value for point in client.get_metric_history(run_id, "val/macro_f1")}
    assert run.data.metrics["best_val/macro_f1"] == history[kept]
    assert len([name for name in run.data.metrics if not name.startswith("system/")]) <= 16
    images = {Path(file.path).name.split("+")[0] for file in client.list_artifacts(run_id, "images")}
    assert images == {"learning_curves"}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= set(run.data.metrics)
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {"train", "validation"}
    files = {Path(file.path).name for file in client.list_artifacts(run_id, "training")}
    assert files == {"learning_curves.png", "activations.png", "summary.txt", "history.csv"}
    probabilities = load_face_model(f"runs:/{run_id}/model").probabilities(stripes.pixels[:3])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_one_that_is_trained_is_left_alone(client: mlflow.MlflowClient, folder: Path, tmp_path: Path):
    run_id = a_candidate(client)
    train_candidate(client, run_id, folder, str(tmp_path), LOG)
    before = client.get_metric_history(run_id, "train/loss")
    train_candidate(client, run_id, folder, str(tmp_path), LOG)
    assert client.get_metric_history(run_id, "train/loss") == before
    assert state(client, run_id) == ("trained", "FINISHED")


@pytest.mark.slow
def test_killed_and_started_again_it_goes_on_in_the_same_run_to_the_same_weights(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path
):
    """A process is killed before its third epoch is saved; another goes on, and trains an equal one unbroken."""
    epochs = 6
    unbroken, broken = (a_candidate(client, epochs=epochs, batch_size=16, ema_horizon=0.1) for _ in range(2))

    def train(*run_ids: str, dies_at: int = 0) -> int:
        arguments = [json.dumps(run_ids), str(folder), str(tmp_path), mlflow.get_tracking_uri(), str(dies_at)]
        return subprocess.run([sys.executable, str(RUNNER), *arguments]).returncode

    assert train(broken, dies_at=3) == -signal.SIGKILL
    assert len(State.from_bytes(store_of(client, broken, tmp_path).path.read_bytes()).history) == 2
    assert state(client, broken) == ("running", "RUNNING")
    assert train(broken, unbroken) == 0
    for name in ("train/loss", "train/accuracy", "val/loss", "val/macro_f1", "learning_rate"):
        points = [[(p.step, p.value) for p in client.get_metric_history(run, name)] for run in (unbroken, broken)]
        assert points[0] == points[1]
        assert [step for step, _ in points[0]] == [*range(1, epochs + 1)]
    first, second = (weights_of(run) for run in (unbroken, broken))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_epoch_logged_but_not_saved_is_trained_again_and_logged_once(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run_id = a_candidate(client)
    with ending_at_the_first_epoch(monkeypatch, lambda store, state: None):
        train_candidate(client, run_id, folder, str(tmp_path), LOG)
    train_candidate(client, run_id, folder, str(tmp_path), LOG)
    for name in ("train/loss", "val/macro_f1", "epoch_seconds"):
        assert [metric.step for metric in client.get_metric_history(run_id, name)] == [1, 2], name


def test_a_place_that_takes_no_state_is_found_before_training_and_fails_no_candidate(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    run_id = a_candidate(client)
    with pytest.raises(OutOfReach, match="set a state_dir that can be written"):
        train_candidate(client, run_id, folder, str(tmp_path / "file"), LOG)
    assert state(client, run_id) == ("waiting", "SCHEDULED")


def test_divergence_ends_the_candidate_for_good_and_the_step_succeeds(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    infinite = np.full(7, np.inf, np.float32)
    monkeypatch.setattr("components.train.train.class_weights", lambda profile: infinite)
    run_id = a_candidate(client)
    for _ in range(2):  # the second time it says so again, and trains nothing
        train_candidate(client, run_id, folder, str(tmp_path), LOG)
        assert state(client, run_id) == ("failed", "FAILED")
        tags = client.get_run(run_id).data.tags
        assert tags["failure"].startswith("lenet-tuned-s0: the loss is not a number after epoch 1 of 2")
        assert tags["failure.kind"] == "Diverged"
        monkeypatch.undo()
    assert "train/loss" not in client.get_run(run_id).data.metrics


def test_an_exception_that_another_try_would_meet_again_ends_the_candidate_for_good(
    client: mlflow.MlflowClient, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("Negative dimension size\ncaused by subtracting 3 from 2")

    monkeypatch.setattr("ferkit.training.fit.fit", refuse)
    run_id = a_candidate(client)
    train_candidate(client, run_id, folder, "", LOG)
    tags = client.get_run(run_id).data.tags
    assert state(client, run_id) == ("failed", "FAILED")
    assert tags["failure"] == "lenet-tuned-s0: ValueError: Negative dimension size caused by subtracting 3 from 2"
    assert tags["failure.kind"] == "ValueError"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), mlflow.MlflowException("502")])
def test_what_is_out_of_reach_fails_the_step_and_no_candidate(
    client: mlflow.MlflowClient, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def out_of_reach(*_: object, **__: object) -> None:
        raise error

    run_id = a_candidate(client)
    with monkeypatch.context() as patched:
        patched.setattr("components.train.train.log_results", out_of_reach)
        with pytest.raises(type(error)):
            train_candidate(client, run_id, folder, "", LOG)
    assert state(client, run_id) == ("running", "RUNNING")
    train_candidate(client, run_id, folder, "", LOG)
    assert state(client, run_id) == ("trained", "FINISHED")


def event_file(client: mlflow.MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(client.download_artifacts(run_id, "tensorboard"))
    events.Reload()
    return [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(name)]


def test_the_event_file_is_live_and_a_retry_goes_on_with_it(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run_id = a_candidate(client, tensorboard=True)
    with ending_at_the_first_epoch(monkeypatch, FolderStore.save):
        train_candidate(client, run_id, folder, str(tmp_path), LOG)
    assert [step for step, _ in event_file(client, run_id, "train/loss")] == [1]
    train_candidate(client, run_id, folder, str(tmp_path), LOG)
    for name in ("train/loss", "val/macro_f1", "learning_rate"):
        logged = [(point.step, pytest.approx(point.value)) for point in client.get_metric_history(run_id, name)]
        assert event_file(client, run_id, name) == logged
        assert [step for step, _ in logged] == [1, 2]


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_missing_here_may_be_on_another_node(client: mlflow.MlflowClient, folder: Path):
    run_id = a_candidate(client, require_gpu=True)
    with pytest.raises(OutOfReach, match="finds no GPU here"):
        train_candidate(client, run_id, folder, "", LOG)
    assert state(client, run_id) == ("running", "RUNNING")
