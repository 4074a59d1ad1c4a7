"""Multi-kernel: the face is seen through kernels of four sizes at once; then convolutions, and three dense layers.

The towers' views are concatenated along the height, as the notebook does (`axis=1`: on a channels-last tensor that
puts four faces below one another, and they meet at the seams), or along the channels, as in the GoogLeNet it describes.
The towers, and the first block's convolution, cost the same either way; the second's is four times as much with height.

What the notebook's description leaves open: its 3x3 convolutions have padding `same` and ReLU, and its dropout of 0.3
stands after each dense layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from ferkit.data import EMOTIONS
from ferkit.networks.architectures._blocks import BatchNorm, Scaled, block, check_size, convolve, normalise

if TYPE_CHECKING:
    import keras


class NetworkSettings(Scaled):
    """The notebook's sizes are the defaults."""

    section: ClassVar[str] = "multi_kernel"

    kernels: tuple[PositiveInt, ...] = Field(
        default=(2, 3, 4, 5), min_length=1, description="height and width of each tower's kernel, pixels"
    )
    tower_filters: int = Field(default=16, ge=1, description="filters of each tower")
    concatenate: Literal["height", "channels"] = Field(
        default="height",
        description="axis along which the towers' outputs are concatenated; recipes: notebook height, tuned channels",
    )
    filters: tuple[PositiveInt, ...] = Field(
        default=(64, 64), min_length=1, description="filters of each block, first to last"
    )
    dense: tuple[PositiveInt, ...] = Field(
        default=(1000, 1000, 500), min_length=1, description="units of the dense layers"
    )
    padding: Literal["valid", "same"] = Field(default="same", description="padding of a block's first convolution")
    batch_norm: BatchNorm = Field(
        default="none",
        description="batch norm after every `pool`ing, after every `convolution`, or `none`, as in the notebook",
    )
    dropout: float = Field(default=0.3, ge=0, lt=1, description="fraction of units dropped after each dense layer")


def build(parameters: NetworkSettings, side: int) -> keras.Model:
    """Scaled faces float32 (n, side, side, 1) -> logits float32 (n, 7). Shapes below are for side 48 and the defaults.

    Raises:
        UserError: the faces are too small for that many blocks.
    """
    import keras
    from keras import layers

    faces = keras.Input((side, side, 1), name="scaled_faces")
    filters = parameters.wide(parameters.tower_filters)
    towers = [convolve(faces, filters, kernel, parameters, "same") for kernel in parameters.kernels]  # 48 x 48 x 16
    x: Any = towers[0]
    if len(towers) > 1:
        x = layers.Concatenate(axis=1 if parameters.concatenate == "height" else -1)(towers)
        #                              height                         channels
        #                         192 x 48 x 16                     48 x 48 x 64
    x = layers.MaxPooling2D(2)(x)  # 96 x 24 x 16                     24 x 24 x 64
    if parameters.batch_norm == "pool":
        x = normalise(x, parameters)
    for number, filters in enumerate(parameters.filters):
        check_size(x, "multi_kernel", number, parameters)
        x = block(x, filters, parameters)
        #   1st:      96 x 24 x 64 -> 48 x 12 x 64     24 x 24 x 64 -> 12 x 12 x 64
        #   2nd:      48 x 12 x 64 -> 24 x  6 x 64     12 x 12 x 64 ->  6 x  6 x 64
    x = layers.Flatten()(x)  # 9216                                          2304
    for units in parameters.dense:
        x = layers.Dense(parameters.wide(units), activation="relu")(x)  # 1000, 1000, 500
        x = layers.Dropout(parameters.dropout)(x)
    logits = layers.Dense(len(EMOTIONS), dtype="float32", name="logits")(x)  # 7
    return keras.Model(faces, logits, name="multi_kernel")
