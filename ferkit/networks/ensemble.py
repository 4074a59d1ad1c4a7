"""Several exported networks as one: the weighted mean of their probabilities, in one graph.

    p(face) = sum over members of weight * p_member(face),   weights >= 0, their sum 1

Averaging probabilities is the "linear opinion pool", or deep ensemble (Lakshminarayanan et al., "Simple and Scalable
Predictive Uncertainty Estimation using Deep Ensembles", 2017). Members keep what is inside them: architecture,
normalization of grey levels, test-time augmentation. Everything is made of Keras' own layers, so that the saved file
loads wherever Keras is.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from ferkit.errors import UserError


def average_networks(networks: Sequence[keras.Model], weights: Sequence[float]) -> keras.Model:
    """One network that answers with the weighted mean of its members' probabilities.

    Args:
        networks: as `ferkit.networks.network.exported` returns them: grey levels (n, side, side, 1) to probabilities
            float32 (n, classes). They are renamed `member_1`, `member_2` and so on: Keras wants every name once.
        weights: one each, 0 or more, their sum 1.

    Returns:
        Grey levels (n, side, side, 1) to probabilities float32 (n, classes); each row's sum is 1.

    Raises:
        UserError: fewer than two networks; another number of weights, or some that do not add up; or networks that
            take faces, or tell apart classes, of different numbers.
    """
    if len(networks) < 2 or len(weights) != len(networks):
        raise UserError(
            f"an ensemble joins two networks or more, with a weight each (received {len(networks)} networks and "
            f"{len(weights)} weights)"
        )
    if min(weights) < 0 or abs(sum(weights) - 1) > 1e-6:
        raise UserError(f"the weights of an ensemble are 0 or more and add up to 1 (received {list(weights)})")
    for what, shapes in (
        ("take faces of different sizes", {network.input_shape[1:] for network in networks}),
        ("tell apart different numbers of classes", {network.output_shape[1:] for network in networks}),
    ):
        if len(shapes) > 1:
            raise UserError(f"the networks {what}, {sorted(shapes)}; join networks that were trained on the same data")
    faces = keras.Input(networks[0].input_shape[1:], name="faces")
    parts = []
    for number, (network, weight) in enumerate(zip(networks, weights, strict=True), 1):
        network.name = f"member_{number}"
        parts.append(layers.Rescaling(float(weight), dtype="float32", name=f"weight_{number}")(network(faces)))
    return keras.Model(faces, layers.Add(dtype="float32", name="mean")(parts), name="ensemble")
