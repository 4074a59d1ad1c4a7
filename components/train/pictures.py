"""Pictures of a training: how it went, and what the network sees in a face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ferkit.networks.network import crop_middle

PANELS = (("loss", "loss"), ("accuracy", "accuracy"), ("macro_f1", "macro-F1"))
ops: Any = keras.ops

CHANNELS = 12
"""Channels of a layer that are drawn: the first ones."""


def draw_curves(history: list[dict[str, float]], best_epoch: int, path: Path) -> None:
    """Loss, accuracy and macro-F1 by epoch, for training and validation; a line marks the epoch that is kept."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, (name, title) in zip(figure.subplots(1, 3), PANELS, strict=True):
        for split, label, colour in (("train", "training, as fitted", "tab:gray"), ("val", "validation", "tab:blue")):
            if f"{split}/{name}" in history[0]:
                axes.plot(epochs, [epoch[f"{split}/{name}"] for epoch in history], ".-", label=label, color=colour)
        axes.axvline(best_epoch, color="tab:green", linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    _save(figure, path)


def draw_activations(network: keras.Model, face: np.ndarray, path: Path) -> None:
    """What each convolution and pooling gives for one face, its first channels side by side; no picture without any.

    Args:
        network: as `build_network` makes it.
        face: uint8 (side, side).
        path: of the PNG.
    """
    rows = layer_outputs(network, face)
    if not rows:
        return
    figure = Figure(figsize=(CHANNELS + 2, 1.1 * len(rows) + 1.2), layout="constrained")
    grid = figure.subplots(len(rows) + 1, CHANNELS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    grid[0, 0].imshow(face, cmap="gray", vmin=0, vmax=255)
    grid[0, 0].set_title("the face", fontsize=8, loc="left")
    for axes_of_row, (name, maps) in zip(grid[1:], rows, strict=True):
        height, width, channels = maps.shape
        for axes, channel in zip(axes_of_row, range(min(channels, CHANNELS)), strict=False):
            axes.imshow(maps[:, :, channel], cmap="viridis")
        axes_of_row[0].set_title(f"{name}, to {height} x {width} x {channels}", fontsize=8, loc="left")
    _save(figure, path)


def layer_outputs(network: keras.Model, face: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Name and output float32 (h, w, channels) of every convolution and pooling, for one face uint8 (side, side).

    A network of crops is shown the middle. Of the architecture's own layers: what lies within a model inside it is
    not looked at.
    """
    architecture: Any = network.layers[-1]
    seen = crop_middle(face[None], network.input_shape[1])[..., None].astype(np.float32)
    scaled = keras.Model(network.input, network.layers[-2].output)(seen)
    kinds = (keras.layers.Conv2D, keras.layers.MaxPooling2D)
    shown = [layer for layer in architecture.layers if isinstance(layer, kinds)]
    if not shown:
        return []
    outputs = keras.Model(architecture.input, [layer.output for layer in shown])(scaled)
    names = [_name(layer) for layer in shown]
    return [(name, np.array(ops.cast(output, "float32"))[0]) for name, output in zip(names, outputs, strict=True)]


def _name(layer: Any) -> str:
    """What it is and how large: `convolution 3 x 3`."""
    if isinstance(layer, keras.layers.Conv2D):
        return f"convolution {layer.kernel_size[0]} x {layer.kernel_size[1]}"
    return f"max pooling {layer.pool_size[0]} x {layer.pool_size[1]}"


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(path)
