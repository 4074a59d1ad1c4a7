"""The compiled step: from what is sent for some faces to moved and blended faces, and to a loss that moves weights."""

from __future__ import annotations

from typing import Any

import keras

from ferkit.networks.fused_batch_norm import fuse_batch_norm
from ferkit.networks.mixup import Mixup
from ferkit.networks.network import arithmetic_in
from ferkit.networks.random_affine import STILL, RandomAffine
from ferkit.networks.random_erasing import RandomErasing
from ferkit.training.build import build_network
from ferkit.training.candidate import Candidate
from ferkit.training.dataset_placement import DatasetPlacement
from ferkit.training.hardware import Hardware
from ferkit.training.optimizers import optimizer_for
from ferkit.training.settings import ResolvedTrain

ops: Any = keras.ops

STEPS_PER_EXECUTION = 16
"""Steps in one call from Python, on a GPU; a CPU's steps are long enough one by one."""


def network_to_train(candidate: Candidate, side: int, hardware: Hardware) -> keras.Model:
    """A fresh network, see `ferkit.training.build.build_network`, as this hardware trains it fastest.

    Args:
        candidate: which network.
        side: of the faces, pixels.
        hardware: its precision, and whether XLA fuses batch norm.
    """
    settings = candidate.train
    with arithmetic_in(hardware.precision):
        network = build_network(candidate, side)
    if settings.backend == "tensorflow" and not hardware.xla:
        fuse_batch_norm(network)
    return network


def trainer(
    network: keras.Model, placement: DatasetPlacement, settings: ResolvedTrain, steps: int, hardware: Hardware
) -> Any:
    """The compiled model that is fitted: what `placement` sends for n faces to logits float32 (n, 7).

    Args:
        network: shares its weights with the result.
        placement: brings the training faces.
        settings: optimizer, schedule, loss, augmentation.
        steps: per epoch.
        hardware: what the steps run on.
    """
    sent, faces = placement.inputs()
    if settings.random_affine or settings.crop_size:
        faces = random_affine(settings)(faces)
    if settings.random_erasing:
        faces = RandomErasing(settings.random_erasing, settings.seed)(faces)
    if settings.mixup:
        shares = keras.Input((), name="shares")
        sent, faces = (sent, shares), Mixup()(faces, shares)
    model: Any = keras.Model(sent, network(ops.expand_dims(faces, -1)), name="trainer")
    model.compile(
        optimizer=optimizer_for(settings, steps),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing),
        metrics=["accuracy"],
        jit_compile=hardware.xla,
        steps_per_execution=min(steps, STEPS_PER_EXECUTION) if hardware.device == "gpu" else 1,
    )
    network.jit_compile = hardware.xla
    model.optimizer.build(model.trainable_variables)
    return model


def random_affine(settings: ResolvedTrain) -> RandomAffine:
    """What a candidate's settings ask for; without `random_affine`, nothing but the crop."""
    moves = {name: getattr(settings, name) for name in STILL} if settings.random_affine else STILL
    return RandomAffine(**moves, crop_size=settings.crop_size, seed=settings.seed)


def draws_of(model: Any) -> list[Any]:
    """Variables of a trainer that say where the draws of moving and erasing have got to."""
    drawing = [layer for layer in model.layers if isinstance(layer, RandomAffine | RandomErasing)]
    return [variable for layer in drawing for variable in layer.variables]
