"""A candidate's network: fresh, to be trained, and as the file that is exported."""

from __future__ import annotations

from pathlib import Path

import keras

from ferkit.errors import UserError
from ferkit.networks.architectures import find
from ferkit.networks.network import arithmetic_in, exported, scale
from ferkit.training.candidate import Candidate


def build_network(candidate: Candidate, side: int) -> keras.Model:
    """A fresh network: grey levels 0..255, float32 or uint8 (n, seen, seen, 1), to logits float32 (n, 7).

    Args:
        candidate: which network.
        side: of the faces, pixels. What the network sees of them, `seen`, is their crop, or all of it.

    Raises:
        UserError: the faces are smaller than the crop, or too small for the network.
    """
    settings = candidate.train
    if settings.crop_size > side:
        raise UserError(
            f"train.crop_size: a face has {side}x{side} pixels; set at most {side}, or 0 for whole faces "
            f"(received {settings.crop_size})"
        )
    seen = settings.crop_size or side
    faces = keras.Input((seen, seen, 1), name="faces")
    scaled = scale(faces, settings.normalization)
    logits = find(candidate.architecture).build(candidate.network, seen)(scaled)
    return keras.Model(faces, logits, name="network")


def save_network(network: keras.Model, candidate: Candidate, side: int, path: Path) -> keras.Model:
    """Writes the exported model, in float32 whatever it was trained in, without augmentation, and returns it.

    Args:
        network: trained.
        candidate: what it was made of.
        side: of the faces, pixels.
        path: of the `.keras` file.
    """
    settings = candidate.train
    with arithmetic_in("float32"):
        plain = build_network(candidate, side)
        plain.set_weights(network.get_weights())
        model = exported(plain, settings.tta, side)
    model.save(path)
    return model
