"""Batch norm in one operation computes what Keras' own does: outputs, gradients, running statistics."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from ferkit.networks.fused_batch_norm import fuse_batch_norm

tf: Any = pytest.importorskip("tensorflow")


def network(**changes: Any) -> Any:
    """A convolution's worth of batch norm, inside a model inside a model, as our networks have it."""
    inner = keras.Sequential([keras.Input((5, 4, 3)), keras.layers.BatchNormalization(momentum=0.8, **changes)])
    faces = keras.Input((5, 4, 3))
    return keras.Model(faces, inner(faces))


def step(model: Any, values: np.ndarray) -> list[np.ndarray]:
    """Outputs and gradients of one step of training, then all weights."""
    wanted = tf.reshape(tf.range(values.size, dtype=tf.float32), values.shape) / values.size
    inputs = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model(inputs, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * wanted)
    gradients = tape.gradient(loss, [inputs, *model.trainable_variables])
    return [np.asarray(array) for array in (outputs, *gradients, *model.weights)]


def spread(model: Any) -> Any:
    """With factors, offsets and running statistics that are not 1 and 0."""
    model.set_weights([np.linspace(0.5, 1.5, 3, dtype=np.float32) + number for number in range(4)])
    return model


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(2, 3, (6, 5, 4, 3)).astype(np.float32)


def test_a_step_is_keras_own_step(values: np.ndarray):
    plain, fused = spread(network()), spread(network())
    fuse_batch_norm(fused)
    calls = tf.function(lambda: fused(values, training=True)).get_concrete_function().graph.get_operations()
    assert "FusedBatchNormV3" in {operation.type for operation in calls}
    for one, other in zip(step(plain, values), step(fused, values), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_at_inference_and_over_another_axis_it_is_keras_own(values: np.ndarray):
    plain, fused = spread(network()), spread(network())
    fuse_batch_norm(fused)
    np.testing.assert_array_equal(plain(values, training=False), fused(values, training=False))
    rows = keras.Sequential([keras.Input((5, 4, 3)), keras.layers.BatchNormalization(axis=1)])
    fuse_batch_norm(rows)
    np.testing.assert_allclose(np.asarray(rows(values, training=True)).mean(axis=(0, 2, 3)), 0, atol=1e-5)


def test_in_bfloat16_its_statistics_stay_float32(values: np.ndarray):
    model = spread(network(dtype="mixed_bfloat16"))
    fuse_batch_norm(model)
    outputs, *_, mean, _ = step(model, values)
    assert outputs.dtype.name == "bfloat16"
    before = np.linspace(0.5, 1.5, 3) + 2
    rounded = values.astype(outputs.dtype).astype(np.float32)
    np.testing.assert_allclose(mean, 0.8 * before + 0.2 * rounded.mean(axis=(0, 1, 2)), rtol=1e-5)
