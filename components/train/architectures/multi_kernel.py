"""Multi-kernel: the face is seen through kernels of several sizes at once; then blocks as in LeNet, and a dense layer.

The towers' views are concatenated along the height, as the notebooks do (on a channels-last tensor that puts three
faces below one another, and they meet at the seams), or along the channels. Both have about as many multiplications in
the first block; from there on, height has three times as many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from components.bad_input import BadInput
from components.faces import EMOTIONS
from components.train.architectures._blocks import Scaled, block, convolve

if TYPE_CHECKING:
    import keras

RECIPES: dict[str, dict[str, Any]] = {"tuned": {"concatenate": "channels"}}


class Parameters(Scaled):
    """The notebook's sizes are the defaults."""

    section: ClassVar[str] = "multi_kernel"

    kernels: tuple[int, ...] = Field(
        (3, 5, 7), min_length=1, description="height and width of each tower's kernel, pixels"
    )
    tower_filters: int = Field(16, ge=1, description="of each tower")
    concatenate: Literal["height", "channels"] = Field(
        "height",
        description="axis of the towers' views; the recipe `tuned` takes channels, at half the multiplications",
    )
    filters: tuple[int, ...] = Field((64, 128, 256), min_length=1, description="of the blocks, first to last")
    dense: int = Field(256, ge=1, description="units of the dense layer")


def build(parameters: Parameters, side: int) -> keras.Model:
    """Scaled faces float32 (n, side, side, 1) -> logits float32 (n, 7). Shapes below are for side 48 and the defaults.

    Raises:
        BadInput: the faces are too small for that many blocks.
    """
    import keras
    from keras import layers

    faces = keras.Input((side, side, 1), name="scaled_faces")
    towers = [
        layers.MaxPooling2D(2)(
            convolve(faces, parameters.wide(parameters.tower_filters), kernel, parameters, padding="same")
        )  # 48 x 48 x 16 -> 24 x 24 x 16, each
        for kernel in parameters.kernels
    ]
    x = towers[0]
    if len(towers) > 1:  # channels: 24 x 24 x 48; height: 72 x 24 x 16
        x = layers.Concatenate(axis=1 if parameters.concatenate == "height" else -1)(towers)
    if parameters.batch_norm == "pool":
        x = layers.BatchNormalization()(x)
    for filters in parameters.filters:
        if min(x.shape[1:3]) < (4 if parameters.padding == "valid" else 2):
            raise BadInput(
                f"multi_kernel.filters: {len(parameters.filters)} blocks do not fit into faces of {side}x{side} pixels"
                "; give fewer, or padding=same"
            )
        x = block(x, filters, parameters)
        #        channels                                 height
        # 1st: 22 x 22 x  64 -> 11 x 11 x  64       70 x 22 x  64 -> 35 x 11 x  64
        # 2nd:  9 x  9 x 128 ->  4 x  4 x 128       33 x  9 x 128 -> 16 x  4 x 128
        # 3rd:  2 x  2 x 256 ->  1 x  1 x 256       14 x  2 x 256 ->  7 x  1 x 256
    x = layers.Dropout(parameters.dropout)(x)
    x = layers.Flatten()(x)  # 256, or 1792
    x = layers.Dense(parameters.wide(parameters.dense), activation="relu")(x)  # 256
    x = layers.Dropout(parameters.dropout)(x)
    logits = layers.Dense(len(EMOTIONS), dtype="float32", name="logits")(x)  # 7
    return keras.Model(faces, logits, name="multi_kernel")
