"""Both networks have the notebooks' shapes and parameter counts, counted here by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

from ferkit.errors import UserError
from ferkit.networks.architectures import find, names
from ferkit.training.candidate import parse_candidate


def build(architecture: str, side: int = 48, **changes: Any) -> Any:
    candidate = parse_candidate({"architecture": architecture, "recipe": "notebook", **changes}, {})
    return find(architecture).build(candidate.network, side)


def shapes(network: Any, kind: type) -> list[tuple[int, ...]]:
    return [layer.output.shape[1:] for layer in network.layers if isinstance(layer, kind)]


def conv(kernel: int, channels: int, filters: int) -> int:
    return kernel * kernel * channels * filters + filters


def dense(units: int, outputs: int) -> int:
    return units * outputs + outputs


@pytest.mark.parametrize("architecture", names())
def test_every_architecture_turns_faces_into_seven_logits(architecture: str):
    network = build(architecture)
    assert (network.input_shape, network.output_shape) == ((None, 48, 48, 1), (None, 7))
    assert network.layers[-1].activation is keras.activations.linear


def test_lenet_is_the_notebooks():
    network = build("lenet")
    assert shapes(network, keras.layers.Conv2D) == [(46, 46, 64), (21, 21, 128), (8, 8, 256), (2, 2, 512)]
    assert shapes(network, keras.layers.MaxPooling2D) == [(23, 23, 64), (10, 10, 128), (4, 4, 256), (1, 1, 512)]
    assert shapes(network, keras.layers.Dense) == [(256,), (7,)]
    filters = [1, 64, 128, 256, 512]
    convolutions = sum(conv(3, a, b) for a, b in pairwise(filters))
    batch_norm = 4 * (64 + 128 + 256 + 512)  # factor, offset, running mean and variance
    assert network.count_params() == convolutions + batch_norm + dense(512, 256) + dense(256, 7) == 1_686_791


@pytest.mark.parametrize(
    ("axis", "views", "flat", "parameters"),
    [("height", (192, 48, 16), 9216, 10_769_143), ("channels", (48, 48, 64), 2304, 3_884_791)],
)
def test_multi_kernel_is_the_notebooks(axis: str, views: tuple[int, ...], flat: int, parameters: int):
    network = build("multi_kernel", concatenate=axis)
    convolutions = shapes(network, keras.layers.Conv2D)
    assert convolutions[:4] == [(48, 48, 16)] * 4
    assert shapes(network, keras.layers.Concatenate) == [views]
    pooled = views[0] // 2, views[1] // 2
    assert convolutions[4:] == [(*pooled, 64), (pooled[0] // 2, pooled[1] // 2, 64)]
    assert shapes(network, keras.layers.Flatten) == [(flat,)]
    assert shapes(network, keras.layers.Dense) == [(1000,), (1000,), (500,), (7,)]
    towers = sum(conv(kernel, 1, 16) for kernel in (2, 3, 4, 5))
    blocks = conv(3, views[2], 64) + conv(3, 64, 64)
    top = dense(flat, 1000) + dense(1000, 1000) + dense(1000, 500) + dense(500, 7)
    assert network.count_params() == towers + blocks + top == parameters


def test_a_residual_connection_round_nothing_is_refused():
    with pytest.raises(UserError, match=r"residual: there is nothing to go round with depth 1; set depth 2 or more"):
        parse_candidate({"architecture": "lenet", "residual": True}, {})


@pytest.mark.parametrize("architecture", ["lenet", "multi_kernel"])
def test_a_scaled_variant_is_wider_deeper_and_residual(architecture: str):
    plain = build(architecture)
    changes = {"width": 0.5, "depth": 2, "residual": True, "batch_norm": "convolution", "padding": "same"}
    scaled = build(architecture, **changes)
    assert len(shapes(scaled, keras.layers.Add)) == len(find(architecture).NetworkSettings().filters)  # pyright: ignore
    assert len(shapes(scaled, keras.layers.BatchNormalization)) == len(shapes(scaled, keras.layers.Conv2D))
    assert shapes(scaled, keras.layers.Dense)[0][0] == shapes(plain, keras.layers.Dense)[0][0] // 2


def test_the_scaled_family_ends_in_the_mean_over_its_last_block():
    """Two convolutions a block with batch norm after each, global average pooling and no dense layer: VGG's shape."""
    family = {"depth": 2, "padding": "same", "batch_norm": "convolution", "global_pool": "avg", "dense": 0}
    network = build("lenet", side=40, filters=[32, 64, 128, 256], **family)
    sides = [40, 40, 20, 20, 10, 10, 5, 5]
    channels = [32, 32, 64, 64, 128, 128, 256, 256]
    assert shapes(network, keras.layers.Conv2D) == [(s, s, c) for s, c in zip(sides, channels, strict=True)]
    assert shapes(network, keras.layers.MaxPooling2D) == [(20, 20, 32), (10, 10, 64), (5, 5, 128)]
    assert shapes(network, keras.layers.GlobalAveragePooling2D) == [(256,)]
    assert shapes(network, keras.layers.Dense) == [(7,)]
    convolutions = sum(9 * a * b for a, b in pairwise([1, *channels]))  # batch norm's offset is their bias
    assert network.count_params() == convolutions + 4 * sum(channels) + dense(256, 7) == 1_176_359
    face = np.random.default_rng(0).normal(size=(1, 40, 40, 1)).astype(np.float32)
    last = keras.Model(network.input, network.layers[-4].output)(face)
    pooled = keras.Model(network.input, network.layers[-3].output)(face)
    np.testing.assert_allclose(np.asarray(pooled), np.asarray(last).mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("architecture", ["lenet", "multi_kernel"])
def test_faces_that_are_too_small_are_refused(architecture: str):
    with pytest.raises(UserError, match=rf"{architecture}.filters: only .* pixels are left for block"):
        build(architecture, side=5)
