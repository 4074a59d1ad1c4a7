"""Training a network: the loop over epochs, around Keras' own compiled step. Knows neither MLflow nor Kubeflow.

A step fetches its faces as uint8, and moves and scales them on the device (see `ferkit.training.dataset_placement`).
The host waits for the device once an epoch.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ferkit.data import EMOTIONS, Faces
from ferkit.errors import UserError
from ferkit.metrics.classification import accuracy_of_confusions, confusion_matrix, macro_f1_of_confusions
from ferkit.networks.mixup import draw_shares, mix_targets
from ferkit.networks.network import crop_middle
from ferkit.training.batch_statistics import FACES, SHARE, BatchStatistics
from ferkit.training.candidate import Candidate
from ferkit.training.dataset_placement import DatasetPlacement, in_batches, place_dataset
from ferkit.training.hardware import Hardware
from ferkit.training.optimizers import assign, averaged, values
from ferkit.training.settings import ResolvedTrain
from ferkit.training.state import State, Store
from ferkit.training.step import draws_of, network_to_train, trainer

ops: Any = keras.ops

Epoch = dict[str, float]
"""The metrics of one epoch, under the names they have in MLflow."""

VALIDATION_BATCH = 512


class Diverged(UserError):
    """The loss, or a weight, is no finite number any more. The message is one sentence."""


@dataclass(frozen=True)
class Trained:
    """A trained network: the weights (averages, where kept) of its best epoch, and the metrics of every epoch."""

    network: keras.Model
    history: list[Epoch]
    best_epoch: int


def fit(
    candidate: Candidate,
    train: Faces,
    validation: Faces,
    hardware: Hardware,
    *,
    weights: np.ndarray | None = None,
    store: Store | None = None,
    on_step: Iterable[keras.callbacks.Callback] = (),
    on_epoch: Callable[[int, Epoch], None] = lambda number, epoch: None,
) -> Trained:
    """Trains a candidate, from the start or from the state that `store` holds.

    Args:
        candidate: what to train and how.
        train: faces to fit.
        validation: faces that choose the best epoch; never fitted.
        hardware: see `ferkit.training.hardware.choose`.
        weights: float32 (7,), of each emotion's faces in the loss; None for all 1.
        store: where the state is saved every `save_every` epochs, and found again.
        on_step: Keras callbacks, for a progress bar.
        on_epoch: called with the number (from 1) and metrics of every finished epoch.

    Raises:
        Diverged: the loss of an epoch, or on validation, is not a number, or a weight or its average is not finite.
    """
    settings = candidate.train
    seed_layers(settings.seed)
    network: Any = network_to_train(candidate, train.side, hardware)
    batch = min(settings.batch_size, len(train))
    steps = len(train) // batch
    placement = place_dataset(train.pixels, settings, hardware)
    model = trainer(network, placement, settings, steps, hardware)
    statistics = _statistics(model, network, placement, settings, len(train), batch)
    labels = train.emotion.astype(np.int32)
    targets = np.eye(len(EMOTIONS), dtype=np.float32)[labels]
    emphasis = None if weights is None else weights[labels]

    state = (store.load() if store else None) or State()
    best: list[np.ndarray] = []
    if state.arrays:
        best = _restore(model, network, state)
    for number in range(len(state.history) + 1, settings.epochs + 1):
        if _patience_is_over(state.history, settings):
            break
        started = time.perf_counter()
        # Shuffled by seed and epoch alone, so that a resumed training meets the faces in the same order. The faces left
        # over by the last whole batch differ from epoch to epoch.
        order = np.random.default_rng((settings.seed, number)).permutation(len(train))[: steps * batch].astype(np.int32)
        batches = _batches(placement, batch, order, targets, emphasis, settings, number)
        fitted = model.fit(**batches, shuffle=False, verbose=0, callbacks=list(on_step)).history
        seconds = time.perf_counter() - started
        _refuse_divergence(fitted["loss"][0], model, network, number, settings)
        epoch: Epoch = {
            "train/loss": fitted["loss"][0],
            "train/accuracy": fitted["accuracy"][0],
            "learning_rate": float(ops.convert_to_numpy(model.optimizer.learning_rate)),
            "epoch_seconds": seconds,
            "images_per_second": steps * batch / seconds,
        }
        with averaged(model), statistics.measured() if statistics else nullcontext():
            epoch |= score(network, validation)
            _refuse_divergence(epoch["val/loss"], model, network, number, settings)
            state.history.append(epoch)
            if best_epoch(state.history, settings) == number:
                best = network.get_weights()
        on_epoch(number, epoch)  # before the state: killed in between, an epoch is told twice, not never
        if store and (number % settings.save_every == 0 or number == settings.epochs):
            state.arrays = _snapshot(model, network, best)
            store.save(state)
    network.set_weights(best)
    return Trained(network, state.history, best_epoch(state.history, settings))


def _batches(
    placement: DatasetPlacement,
    batch: int,
    order: np.ndarray,
    targets: np.ndarray,
    emphasis: np.ndarray | None,
    settings: ResolvedTrain,
    epoch: int,
) -> dict[str, Any]:
    """Arguments for Keras' `fit` of one epoch: faces in this order, blended where there is mixup."""
    targets, shares = targets[order], None
    emphasis = None if emphasis is None else emphasis[order]
    if settings.mixup:
        shares = draw_shares(settings.mixup, len(order), settings.seed, epoch)
        targets, emphasis = mix_targets(targets, emphasis, shares, batch)
    arrays = {"y": targets} | ({} if emphasis is None else {"sample_weight": emphasis})
    return placement.batches(batch, order, shares, **arrays)


def _statistics(
    model: Any, network: Any, placement: DatasetPlacement, settings: ResolvedTrain, faces: int, batch: int
) -> BatchStatistics | None:
    """What measures batch norm's statistics, on training faces chosen by the seed; None where nothing is to."""
    if not settings.precise_batch_norm:
        return None
    several = max(1, min(FACES, faces // SHARE) // batch)
    chosen = np.random.default_rng((settings.seed, 0)).permutation(faces)[: several * batch].astype(np.int32)
    sent: list[Any] = [placement.send(numbers) for numbers in chosen.reshape(several, batch)]
    if settings.mixup:
        shares = draw_shares(settings.mixup, len(chosen), settings.seed, 0).reshape(several, batch)
        sent = list(zip(sent, shares, strict=True))
    return BatchStatistics(model, network, draws_of(model), sent)


def score(network: keras.Model, faces: Faces) -> Epoch:
    """Loss, accuracy and macro-F1 on validation faces, without augmentation; for a network of crops, on middles."""
    predict: Any = network.predict
    pixels = crop_middle(faces.pixels, network.input_shape[1])[..., None]
    logits = predict(**in_batches(VALIDATION_BATCH, x=pixels), verbose=0).astype(np.float64)
    truth = faces.emotion.astype(np.int64)
    exponent = logits - logits.max(axis=1, keepdims=True)
    likelihood = exponent - np.log(np.exp(exponent).sum(axis=1, keepdims=True))
    counts = confusion_matrix(truth, logits.argmax(axis=1))
    return {
        "val/loss": float(-likelihood[np.arange(len(truth)), truth].mean()),
        "val/accuracy": float(accuracy_of_confusions(counts)),
        "val/macro_f1": float(macro_f1_of_confusions(counts)),
    }


def best_epoch(history: list[Epoch], settings: ResolvedTrain) -> int:
    """The number, from 1, of the first epoch with the best monitored metric; 0 before the first."""
    sign = -1 if settings.monitor == "loss" else 1
    values = [sign * epoch[f"val/{settings.monitor}"] for epoch in history]
    return values.index(max(values)) + 1 if values else 0


def seed_layers(seed: int) -> None:
    """Seeds the generator from which Keras draws the seeds of layers: Python's.

    Keras' own function does too, but imports TensorFlow wherever it is installed, whatever the backend.
    """
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(seed)
    else:
        random.seed(seed)


def _refuse_divergence(loss: float, model: Any, network: keras.Model, number: int, settings: ResolvedTrain) -> None:
    """Ends a training whose loss, weights or averages are not finite.

    The weights are looked at themselves. A loss is that of the step before the last, and some processors' fused
    convolution, bias and ReLU turn NaN into 0 (oneDNN's with AVX-512), so that spoilt weights have a finite loss.
    """
    if not math.isfinite(loss):
        spoilt = "the loss is not a number"
    elif not _are_finite(network.weights) or not _are_finite(model.optimizer.averages):
        spoilt = "weights are not finite numbers"
    else:
        return
    raise Diverged(
        f"{spoilt} after epoch {number} of {settings.epochs}; set a smaller learning_rate "
        f"(received {settings.learning_rate}), or a larger warmup_ratio (received {settings.warmup_ratio})"
    )


def _are_finite(variables: Iterable[Any]) -> bool:
    return all(np.isfinite(ops.convert_to_numpy(variable)).all() for variable in variables)


def _patience_is_over(history: list[Epoch], settings: ResolvedTrain) -> bool:
    return bool(settings.patience) and len(history) - best_epoch(history, settings) >= settings.patience


def _variables(model: Any, network: keras.Model) -> list[Any]:
    """Everything the next step depends on, seed generators included, but for the training faces."""
    return [*network.variables, *draws_of(model), *model.optimizer.variables]


def _snapshot(model: Any, network: keras.Model, best: list[np.ndarray]) -> dict[str, np.ndarray]:
    now = {f"now/{i}": value for i, value in enumerate(values(_variables(model, network)))}
    return now | {f"best/{i}": weight for i, weight in enumerate(best)}


def _restore(model: Any, network: keras.Model, state: State) -> list[np.ndarray]:
    """Puts the state's values into the variables, and returns the weights of the best epoch."""
    variables = _variables(model, network)
    assign(variables, [state.arrays[f"now/{i}"] for i in range(len(variables))])
    return [state.arrays[f"best/{i}"] for i in range(len(network.weights))]
