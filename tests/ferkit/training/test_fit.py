"""The training loop: it learns, it repeats itself, it resumes bit for bit, it stops when it should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from ferkit.data import Faces
from ferkit.errors import UserError
from ferkit.training.build import build_network, save_network
from ferkit.training.candidate import Candidate, parse_candidate
from ferkit.training.fit import Diverged, Epoch, Trained, _patience_is_over, best_epoch, fit, score
from ferkit.training.hardware import choose
from ferkit.training.optimizers import optimizer_for
from ferkit.training.schedules import Schedule
from ferkit.training.state import FolderStore


def small(**changes: Any) -> Candidate:
    """A network of a few thousand parameters, with dropout, augmentation and all; averages if `ema_horizon` says so."""
    sizes = {
        "architecture": "lenet",
        "filters": [8, 16],
        "dense": 16,
        "batch_size": 32,
        "epochs": 3,
        "warmup_ratio": 0.0,
    }
    return parse_candidate({**sizes, "precision": "float32", **changes}, {})


def train(candidate: Candidate, faces: Faces, **more: Any) -> Trained:
    return fit(candidate, faces, faces.take(np.arange(40)), choose(candidate.train), **more)


@pytest.mark.parametrize("architecture", ["lenet", "multi_kernel"])
def test_a_network_overfits_one_batch(stripes: Faces, architecture: str):
    batch = stripes.take(np.arange(32))
    sizes = {"lenet": {"filters": [16, 32], "dense": 32}, "multi_kernel": {"width": 0.25}}[architecture]
    still = {
        "random_affine": False,
        "dropout": 0.0,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "patience": 0,
        "ema_horizon": 0.0,
    }
    long = {"epochs": 40, "batch_size": 32, "learning_rate": 0.003, "precision": "float32"}
    candidate = parse_candidate({"architecture": architecture, **sizes, **still, **long}, {})
    trained = fit(candidate, batch, batch, choose(candidate.train))
    assert trained.history[-1]["train/accuracy"] == 1.0
    assert trained.history[-1]["train/loss"] < 0.05


def test_it_learns_with_everything_on(stripes: Faces):
    candidate = small(
        epochs=12, batch_size=16, learning_rate=0.005, rotation=3, flip=False, dropout=0.1, ema_horizon=0.1
    )
    assert score(train(candidate, stripes).network, stripes)["val/accuracy"] > 0.75  # chance is 0.14


def test_it_learns_in_bfloat16_with_sgd_on_crops(stripes: Faces):
    family = {"filters": [8, 16, 16], "depth": 2, "padding": "same", "batch_norm": "convolution", "global_pool": "avg"}
    pieces = {"optimizer": "sgd", "crop_size": 20, "precision": "bfloat16", "dense": 0, "batch_norm_momentum": 0.5}
    candidate = small(**family, **pieces, epochs=15, batch_size=16, learning_rate=0.1, rotation=3, flip=False, shift=0)
    assert score(train(candidate, stripes).network, stripes)["val/accuracy"] > 0.75  # chance is 0.14


def test_a_crop_larger_than_a_face_is_refused(stripes: Faces):
    with pytest.raises(
        UserError, match=r"train.crop_size: a face has 24x24 pixels; set at most 24, or 0 .*\(received 25\)"
    ):
        train(small(crop_size=25), stripes)


def test_equal_seeds_give_equal_weights_and_another_seed_does_not(stripes: Faces):
    first, second, other = (train(small(seed=seed, epochs=2), stripes).network.get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_state_holds_seed_generators_and_averages_which_are_scored_and_kept(stripes: Faces, tmp_path: Path):
    store = FolderStore(tmp_path)
    trained = train(small(epochs=1, ema_horizon=0.5), stripes, store=store)
    state = store.load()
    assert state is not None
    now = [array for name, array in state.arrays.items() if name.startswith("now/")]
    whole = [array for array in now if array.dtype.kind in "iu"]
    assert len(whole) == 4, "the step's number, and the seed generators of two dropouts and the augmentation"
    network = trained.network
    assert len(now) == 4 + len(network.weights) + 3 * len(network.trainable_variables), (
        "two moments and an average each"
    )
    for weight in network.trainable_variables:
        assert any(np.array_equal(weight, array) for array in now[len(network.weights) :]), weight.path
    again = score(network, stripes.take(np.arange(40)))
    assert again == {name: trained.history[0][name] for name in again}


PIECES: dict[str, dict[str, Any]] = {
    "tuned": {},
    "sgd, crops, erasing": {
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "batch_norm": "convolution",
        "global_pool": "avg",
        "crop_size": 20,
        "random_erasing": 0.5,
    },
    "mixup, bfloat16": {"mixup": 0.2, "precision": "bfloat16"},
}


@pytest.mark.parametrize("piece", PIECES)
def test_broken_off_and_started_again_it_ends_in_the_same_state(stripes: Faces, tmp_path: Path, piece: str):
    candidate = small(epochs=4, batch_size=16, ema_horizon=0.1, **PIECES[piece])

    def break_off(number: int, epoch: Epoch) -> None:
        if number == 3:  # whose state is not saved yet
            raise KeyboardInterrupt

    broken, whole = (FolderStore(tmp_path / name) for name in ("broken", "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(candidate, stripes, store=broken, on_epoch=break_off)
    for store in (broken, whole):
        train(candidate, stripes, store=store)
    one, two = broken.load(), whole.load()
    assert one is not None
    assert two is not None
    assert one.arrays.keys() == two.arrays.keys()
    assert [key for key in one.arrays if not np.array_equal(one.arrays[key], two.arrays[key])] == []
    figures = ("train/loss", "train/accuracy", "val/loss", "val/macro_f1", "learning_rate")
    assert [[epoch[name] for name in figures] for epoch in one.history] == [
        [epoch[name] for name in figures] for epoch in two.history
    ]


def test_averages_are_what_is_kept_and_change_nothing_in_the_training(stripes: Faces, tmp_path: Path):
    now, best = {}, {}
    for ema in (0.0, 0.5):
        store = FolderStore(tmp_path / str(ema))
        network = train(small(epochs=2, ema_horizon=ema, patience=0), stripes, store=store).network
        state = store.load()
        assert state is not None
        now[ema] = [state.arrays[f"now/{i}"] for i in range(len(network.weights))]
        best[ema] = network.trainable_variables
    assert all(np.array_equal(a, b) for a, b in zip(now[0.0], now[0.5], strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(best[0.0], best[0.5], strict=True))


def test_trained_in_bfloat16_it_is_exported_in_float32(stripes: Faces, tmp_path: Path):
    candidate = small(epochs=1, precision="bfloat16", tta="crops")
    network: Any = train(candidate, stripes).network
    assert "bfloat16" in {layer.compute_dtype for layer in network.get_layer("lenet").layers}
    model: Any = save_network(network, candidate, stripes.side, tmp_path / "network.keras")
    inner = next(layer for layer in model.layers if layer.name.startswith("network"))
    assert {layer.compute_dtype for layer in [*model.layers, *inner.get_layer("lenet").layers]} == {"float32"}
    faces = stripes.pixels[:8, :, :, None]
    assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), inner.get_weights(), strict=True))
    np.testing.assert_allclose(model.predict_on_batch(faces).sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("layer", [0, 1, -1], ids=["first kernel", "first bias", "last bias"])
def test_weights_that_the_last_step_spoilt_end_it(stripes: Faces, layer: int):
    """An epoch's loss is of the steps before, and fused convolutions may turn NaN into 0: the weights are looked at."""
    import keras

    def spoil(_: object) -> None:
        weight: Any = callback.model.trainable_variables[layer]
        weight.assign(np.full(weight.shape, np.nan, np.float32))

    callback: Any = keras.callbacks.LambdaCallback(on_train_end=spoil)
    with pytest.raises(
        Diverged, match=r"^(weights are not finite numbers|the loss is not a number) after epoch 1 of 3"
    ):
        train(small(ema_horizon=0.0), stripes, on_step=[callback])


def test_averages_that_are_not_finite_end_it(stripes: Faces):
    import keras

    def spoil(_: object) -> None:
        average: Any = callback.model.optimizer.averages[0]
        average.assign(np.full(average.shape, np.inf, np.float32))

    callback: Any = keras.callbacks.LambdaCallback(on_train_end=spoil)
    with pytest.raises(Diverged, match=r"^weights are not finite numbers after epoch 1 of 3"):
        train(small(ema_horizon=0.5), stripes, on_step=[callback])


@pytest.mark.parametrize("onednn", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_divergence_and_resume_are_the_same_with_and_without_onednn(onednn: str):
    """TensorFlow reads the switch once, as it is imported, and decides by the processor where it is not set."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        [*command, "-k", "spoilt or not_finite or (broken_off and tuned)"],
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": onednn},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "5 passed" in done.stdout


def test_a_loss_that_is_no_number_ends_it_with_a_sentence(stripes: Faces):
    infinite = np.full(7, np.inf, np.float32)
    with pytest.raises(Diverged, match=r"the loss is not a number after epoch 1 of 3; set a smaller learning_rate"):
        train(small(), stripes, weights=infinite)


def test_the_progress_bar_counts_the_steps_and_goes_away(stripes: Faces):
    from components.train.progress import Bar

    bar = Bar()
    train(small(epochs=1), stripes, on_step=[bar])
    [task] = bar.progress.tasks
    assert (task.completed, task.total) == (4, 4)  # 140 faces, 32 a step
    assert not bar.progress.live.is_started


def test_early_stopping_counts_epochs_without_a_better_one():
    settings = small(patience=2, epochs=9).train
    history: list[Epoch] = [{"val/macro_f1": figure} for figure in (0.1, 0.5, 0.4, 0.5)]
    assert best_epoch(history, settings) == 2
    assert [_patience_is_over(history[:n], settings) for n in (1, 2, 3, 4)] == [False, False, False, True]
    assert not _patience_is_over(history * 3, small(patience=0).train)
    assert best_epoch([], settings) == 0
    assert best_epoch([{"val/loss": 3.0}, {"val/loss": 2.0}], small(monitor="loss").train) == 2


def test_training_stops_when_patience_is_over_and_does_not_go_on_when_started_again(stripes: Faces, tmp_path: Path):
    candidate = small(epochs=30, patience=1, learning_rate=1e-7, ema_horizon=0.0, random_affine=False)
    first, again = (train(candidate, stripes, store=FolderStore(tmp_path)) for _ in range(2))
    assert len(first.history) == len(again.history) == first.best_epoch + 1 < 30
    assert all(np.array_equal(a, b) for a, b in zip(first.network.weights, again.network.weights, strict=True))


def test_the_learning_rate_warms_up_and_falls_to_nothing():
    rate: Any = optimizer_for(small(epochs=10, warmup_ratio=0.2, learning_rate=0.01).train, steps=10)._learning_rate
    assert [round(float(rate(step)), 6) for step in (0, 10, 20, 60, 100)] == [0.0, 0.005, 0.01, 0.005, 0.0]


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_every_schedule_rises_from_nothing_to_its_peak_and_never_above(schedule: Schedule):
    settings = small(epochs=10, warmup_ratio=0.2, learning_rate=0.01, schedule=schedule).train
    rate: Any = optimizer_for(settings, steps=10)._learning_rate
    rates = [float(rate(step)) for step in range(101)]
    assert rates[0] == 0
    assert rates[20] == max(rates) == pytest.approx(0.01)
    assert 0 <= rates[100] <= rates[20]


def test_a_constant_learning_rate_warms_up_too():
    settings = small(epochs=10, warmup_ratio=0.2, learning_rate=0.01, schedule="constant").train
    rate: Any = optimizer_for(settings, steps=10)._learning_rate
    assert [round(float(rate(step)), 6) for step in (0, 10, 20, 60, 100)] == [0.0, 0.005, 0.01, 0.01, 0.01]


def test_an_emotions_weight_is_its_share_of_the_loss(stripes: Faces):
    """With a network that stands still, the loss is linear in the weights."""
    still = small(
        epochs=1, learning_rate=1e-12, random_affine=False, dropout=0.0, weight_decay=0.0, schedule="constant"
    )
    two, all_else = np.array([[1, 1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1, 1]], np.float32)

    def loss(weights: np.ndarray | None) -> float:
        return train(still, stripes, weights=weights).history[0]["train/loss"]

    of_two, of_all_else = loss(two), loss(all_else)
    assert 0 < of_two < of_all_else
    assert loss(None) == pytest.approx(of_two + of_all_else, rel=1e-5)
    assert loss(3 * two) == pytest.approx(3 * of_two, rel=1e-5)


def test_validation_metrics_are_scikit_learns(stripes: Faces):
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    network: Any = build_network(small(), stripes.side)
    logits = network.predict(stripes.pixels[..., None], verbose=0)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    figures = score(network, stripes)
    guess = logits.argmax(axis=1)
    assert figures["val/accuracy"] == pytest.approx(accuracy_score(stripes.emotion, guess))
    assert figures["val/macro_f1"] == pytest.approx(f1_score(stripes.emotion, guess, average="macro"))
    assert figures["val/loss"] == pytest.approx(log_loss(stripes.emotion, probabilities, labels=range(7)), rel=1e-5)
    without = stripes.take(np.flatnonzero((stripes.emotion != 1) & (guess != 1)))
    only_six: Any = f1_score(
        without.emotion, network.predict(without.pixels[..., None], verbose=0).argmax(1), average=None
    )
    assert score(network, without)["val/macro_f1"] == pytest.approx(only_six.sum() / 7), "an absent emotion counts as 0"


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_required_and_missing_is_said_at_once():
    with pytest.raises(UserError, match=r"train.require_gpu: tensorflow finds no GPU here"):
        choose(small(require_gpu=True).train)


def test_a_backend_that_is_not_installed_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"train.backend: jax is not installed here; pip install 'fer-pipeline\[jax\]'"):
        choose(small(backend="jax").train)


def test_a_network_without_convolutions_gets_no_picture_of_them(stripes: Faces, tmp_path: Path):
    import keras

    from components.train.pictures import draw_activations

    faces: Any = keras.Input((stripes.side, stripes.side, 1))
    dense = keras.Sequential(
        [keras.Input((stripes.side, stripes.side, 1)), keras.layers.Flatten(), keras.layers.Dense(7)]
    )
    network: Any = keras.Model(faces, dense(keras.layers.Rescaling(1 / 255)(faces)))
    draw_activations(network, stripes.pixels[0], tmp_path / "activations.png")
    assert not list(tmp_path.iterdir())


def test_a_second_backend_in_one_process_is_refused():
    with pytest.raises(UserError, match=r"train.backend: this process has already loaded tensorflow \(received jax\)"):
        choose(small(backend="jax").train)
