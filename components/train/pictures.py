"""Pictures of a training: how it went, and what the network sees in a face."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ferkit.networks.network import crop_middle
from ferkit.report.style import EMOTION_COLOURS, FAINT, figure_style
from ferkit.training.candidate import Candidate

PANELS = (("loss", "loss"), ("accuracy", "accuracy"), ("macro_f1", "macro-F1"))
ops: Any = keras.ops

BLUE, GREEN = EMOTION_COLOURS["sad"], EMOTION_COLOURS["disgust"]

CAPTION = 150
"""Letters in a line under the curves."""

CHANNELS = 12
"""Channels of a layer that are drawn: the first ones."""


def draw_curves(history: list[dict[str, float]], best_epoch: int, candidate: Candidate, path: Path) -> None:
    """Loss, accuracy and macro-F1 by epoch, for training and validation; a line marks the epoch that is kept.

    Args:
        history: the metrics of every epoch.
        best_epoch: the one that is kept, 1-based.
        candidate: that was trained.
        path: of the PNG.
    """
    with figure_style():
        figure = Figure(figsize=(12, 4.0))
        epochs = range(1, len(history) + 1)
        for axes, (name, title) in zip(figure.subplots(1, 3), PANELS, strict=True):
            for split, label, colour in (("train", "training, as fitted", FAINT), ("val", "validation", BLUE)):
                if f"{split}/{name}" in history[0]:
                    axes.plot(epochs, [epoch[f"{split}/{name}"] for epoch in history], ".-", label=label, color=colour)
            axes.axvline(best_epoch, color=GREEN, linestyle=":", label=f"kept: epoch {best_epoch}")
            axes.set(xlabel="epoch", title=title)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid()
            axes.legend(fontsize=9)
        figure.supxlabel(textwrap.fill(explain_gap(candidate), CAPTION), x=0.012, ha="left", fontsize=9, color=FAINT)
        _save(figure, path)


def explain_gap(candidate: Candidate) -> str:
    """Why the loss of training may lie above that of validation, by what this candidate's training adds to it."""
    train = candidate.train
    dropout = getattr(candidate.network, "dropout", 0)
    added = {
        f"dropout {dropout:g}": dropout > 0,
        "faces moved at random": train.random_affine,
        "random crops": train.crop_size > 0,
        "random erasing": train.random_erasing > 0,
        "mixup": train.mixup > 0,
        f"label smoothing {train.label_smoothing:g}": train.label_smoothing > 0,
    }
    *others, last = [what for what, is_on in added.items() if is_on] or [""]
    if not last:
        return "Training is scored as it goes, validation at each epoch's end."
    what = f"{', '.join(others)} and {last}" if others else last
    return (
        f"Training is scored as it goes, with {what}; validation at each epoch's end, without. So the loss of training "
        "may lie above."
    )


def draw_activations(network: keras.Model, face: np.ndarray, path: Path) -> None:
    """The output of each convolution and pooling for one face, its first channels side by side; no picture without any.

    A map has grey levels of its own, from its least to its greatest value. Maps of a single value share them along
    their row, and the value is written in.

    Args:
        network: as `build_network` makes it.
        face: uint8 (side, side).
        path: of the PNG.
    """
    rows = layer_outputs(network, face)
    if not rows:
        return
    with figure_style():
        figure = Figure(figsize=(CHANNELS + 2, 1.1 * len(rows) + 1.2))
        grid = figure.subplots(len(rows) + 1, CHANNELS, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        grid[0, 0].imshow(face, vmin=0, vmax=255)
        grid[0, 0].set_title("the face", fontsize=8)
        for axes_of_row, (name, maps) in zip(grid[1:], rows, strict=True):
            height, width, channels = maps.shape
            for axes, channel in zip(axes_of_row, np.moveaxis(maps, -1, 0)[:CHANNELS], strict=False):
                if channel.size == 1:
                    _draw_value(axes, float(channel.item()), maps[..., :CHANNELS])
                else:
                    axes.imshow(channel, cmap="viridis")
            axes_of_row[0].set_title(f"{name}, to {height} x {width} x {channels}", fontsize=8)
        _save(figure, path)


def _draw_value(axes: Axes, value: float, of_row: np.ndarray) -> None:
    """A map of 1 x 1, coloured by where its value lies in its row."""
    low, high = float(of_row.min()), float(of_row.max())
    axes.imshow([[value]], cmap="viridis", vmin=low, vmax=high)
    colour = "black" if value > (low + high) / 2 else "white"
    axes.text(0, 0, f"{value:.2g}", ha="center", va="center", fontsize=9, color=colour)


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
    outputs: Any = keras.Model(architecture.input, {layer.name: layer.output for layer in shown})(scaled)
    return [(_name(layer), np.array(ops.cast(outputs[layer.name], "float32"))[0]) for layer in shown]


def _name(layer: Any) -> str:
    """What it is and how large: `convolution 3 x 3`."""
    if isinstance(layer, keras.layers.Conv2D):
        return f"convolution {layer.kernel_size[0]} x {layer.kernel_size[1]}"
    return f"max pooling {layer.pool_size[0]} x {layer.pool_size[1]}"


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(path)
