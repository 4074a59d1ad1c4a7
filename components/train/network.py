"""The network around an architecture: grey levels in, and on the way out what is averaged.

Everything here is made of Keras' own layers, so that the saved file loads wherever Keras is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import keras
from keras import layers, ops

from components.train.architectures import find
from components.train.candidate import Candidate
from components.train.parameters import Averaging, Complete, Scaling

CROPPED = 4
"""Pixels of each side that a crop leaves away."""


def build_network(candidate: Candidate, side: int) -> keras.Model:
    """A fresh network: grey levels 0..255, float32 or uint8 (n, side, side, 1), to logits float32 (n, 7)."""
    settings: Complete = candidate.train
    faces = keras.Input((side, side, 1), name="faces")
    scaled = scale(faces, settings.scaling)
    logits = find(candidate.architecture).build(candidate.network, side)(scaled)
    return keras.Model(faces, logits, name="network")


def scale(faces: Any, scaling: Scaling) -> Any:
    """Grey levels 0..255 as the architecture sees them."""
    if scaling == "symmetric":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="symmetric")(faces)
    if scaling == "face":  # without its learned factor and offset, layer norm is standardisation
        return layers.LayerNormalization(
            axis=cast(Any, [1, 2, 3]), center=False, scale=False, epsilon=1.0, name="face"
        )(faces)
    return faces


def exported(network: keras.Model, averaging: Averaging) -> keras.Model:
    """What users get: grey levels (n, side, side, 1) to probabilities float32 (n, 7), the average over its views."""
    faces = keras.Input(network.input_shape[1:], name="faces")
    probabilities = layers.Softmax(dtype="float32")
    views = [probabilities(network(view)) for view in views_of(faces, averaging)]
    averaged = layers.Average(dtype="float32")(views) if len(views) > 1 else views[0]
    return keras.Model(faces, averaged, name="faces_to_emotions")


def views_of(faces: Any, averaging: Averaging) -> list[Any]:
    """The face, or the face and its mirror image, or its middle and corners cropped and enlarged, each mirrored too."""
    views = [faces]
    if averaging == "crops":
        side = faces.shape[1]
        half = CROPPED // 2
        corners = [(0, CROPPED), (CROPPED, 0)]
        margins = [((half, half), (half, half)), *((rows, columns) for rows in corners for columns in corners)]
        views = [layers.Resizing(side, side)(layers.Cropping2D(margin)(faces)) for margin in margins]
    if averaging != "none":
        views += [ops.flip(view, axis=2) for view in views]
    return views


def save_network(network: keras.Model, candidate: Candidate, path: Path) -> keras.Model:
    """Writes the exported model, in float32 whatever it was trained in, without augmentation, and gives it back."""
    settings: Complete = candidate.train
    side = int(network.input_shape[1])
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        plain = build_network(candidate, side)
        plain.set_weights(network.get_weights())
        model = exported(plain, settings.averaging)
    finally:
        keras.config.set_dtype_policy(policy)
    model.save(path)
    return model
