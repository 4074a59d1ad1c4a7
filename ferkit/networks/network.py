"""What stands around an architecture: grey levels scaled on the way in, and on the way out what is averaged.

Everything here is made of Keras' own layers, so that the saved file loads wherever Keras is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import keras
from keras import layers, ops

from ferkit.networks import Normalization, TestTimeAugmentation

CROPPED = 4
"""Pixels of each side that a crop leaves away, where the network was trained on whole faces."""


@contextmanager
def arithmetic_in(precision: str) -> Iterator[None]:
    """Layers made within it compute in `precision`, a dtype policy of Keras'."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def crop_middle(faces: Any, size: int) -> Any:
    """The middle of faces (n, side, side), arrays or tensors: (n, size, size)."""
    first = (faces.shape[1] - size) // 2
    return faces[:, first : first + size, first : first + size]


def scale(faces: Any, normalization: Normalization) -> Any:
    """Grey levels 0..255 as the architecture sees them."""
    if normalization == "minus_one_to_one":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="minus_one_to_one")(faces)
    if normalization == "per_image":  # without its learned factor and offset, layer norm is standardisation
        return layers.LayerNormalization(
            axis=cast(Any, [1, 2, 3]), center=False, scale=False, epsilon=1.0, name="per_image"
        )(faces)
    return faces


def exported(network: keras.Model, tta: TestTimeAugmentation, side: int) -> keras.Model:
    """What users get: grey levels (n, side, side, 1) to probabilities float32 (n, 7), the average over its views."""
    faces = keras.Input((side, side, 1), name="faces")
    probabilities = layers.Softmax(dtype="float32")
    views = [probabilities(network(view)) for view in views_of(faces, tta, network.input_shape[1])]
    averaged = layers.Average(dtype="float32")(views) if len(views) > 1 else views[0]
    return keras.Model(faces, averaged, name="faces_to_emotions")


def views_of(faces: Any, tta: TestTimeAugmentation, seen: int) -> list[Any]:
    """What the network is shown of a face (n, side, side, 1): views (n, seen, seen, 1).

    `none` is the face, or its middle where the network sees crops; `flip` that and its mirror image; `crops` its middle
    and four corners, each mirrored too (ten-crop, Krizhevsky et al., 2012). A network of whole faces is shown crops of
    `CROPPED` pixels less, enlarged.
    """
    side = faces.shape[1]
    size = side - CROPPED if tta == "crops" and seen == side else seen
    left = side - size
    middle = ((left // 2, left - left // 2), (left // 2, left - left // 2))
    margins = [middle]
    if tta == "crops":
        corners = [(0, left), (left, 0)]
        margins += [(rows, columns) for rows in corners for columns in corners]
    views = [layers.Cropping2D(margin)(faces) for margin in margins] if left else [faces]
    if size != seen:
        views = [layers.Resizing(seen, seen)(view) for view in views]
    return views if tta == "none" else [*views, *(ops.flip(view, axis=2) for view in views)]
