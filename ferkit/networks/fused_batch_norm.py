"""Batch norm as one operation of TensorFlow's, while training.

Keras makes it of some ten, each of which reads and writes every number of the layer, in float32 even where the
convolutions are in bfloat16. With batch norm after each of eight convolutions, in bfloat16 on two AVX-512 cores, 454
faces per second were trained that way, and 615 this way (benchmarks/precision.md). XLA fuses them of its own accord.
"""

from __future__ import annotations

from typing import Any

import keras


def fuse_batch_norm(network: keras.Model) -> None:
    """Has every batch norm over channels, nested ones too, train by `tf.nn`'s fused operation. TensorFlow alone.

    What the layers compute, their weights and their running statistics are those of Keras' own, to rounding; at
    inference they are Keras' own. Not for a network that is to be saved: the layers' configuration knows nothing of it.
    """
    for layer in network._flatten_layers():
        if type(layer) is keras.layers.BatchNormalization and _is_plain(layer):
            layer.call = _Fused(layer)


def _is_plain(layer: Any) -> bool:
    """Whether the fused operation can stand for it: over the last of four axes, with factor and offset."""
    return layer.axis in (-1, 3) and layer.scale and layer.center and not (layer.renorm or layer.synchronized)


class _Fused:
    """In place of a layer's `call`."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.call = layer.call

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """As `keras.layers.BatchNormalization.call`."""
        layer = self.layer
        if not (training and layer.trainable) or mask is not None or len(inputs.shape) != 4:
            return self.call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, layer.gamma, layer.beta, epsilon=layer.epsilon, is_training=True
        )
        # The operation's variance is n / (n - 1) of the batch's, for n numbers a channel; Keras keeps the batch's.
        n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), "float32")
        variance *= (n - 1) / n
        for average, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            average.assign(average * layer.momentum + value * (1 - layer.momentum))
        return outputs
