"""LeNet, as the notebook calls it: four blocks of convolution, pooling and batch norm, then one dense layer.

In the notebook's size, 1.69 million parameters, 57 million multiplications a face. As a family it reaches to VGG's
(Simonyan and Zisserman, 2015) with batch norm: `filters: [32, 64, 128, 256], depth: 2, padding: same, batch_norm:
convolution, global_pool: avg`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from ferkit.data import EMOTIONS
from ferkit.networks.architectures._blocks import Scaled, block, check_size

if TYPE_CHECKING:
    import keras


class NetworkSettings(Scaled):
    """The notebook's sizes are the defaults."""

    section: ClassVar[str] = "lenet"

    filters: tuple[PositiveInt, ...] = Field(
        default=(64, 128, 256, 512), min_length=1, description="filters of each block, first to last"
    )
    global_pool: Literal["none", "avg"] = Field(
        default="none",
        description="input of the dense layer: the last block's pooled pixels one by one, or with `avg` the mean "
        "over all of them, unpooled (global average pooling, Lin et al., 2014)",
    )
    dense: int = Field(default=256, ge=0, description="units of the dense layer; 0 for none")


def build(parameters: NetworkSettings, side: int) -> keras.Model:
    """Scaled faces float32 (n, side, side, 1) -> logits float32 (n, 7). Shapes below are for side 48 and the defaults.

    Raises:
        UserError: the faces are too small for that many blocks.
    """
    import keras
    from keras import layers

    faces = keras.Input((side, side, 1), name="scaled_faces")
    x: Any = faces
    for number, filters in enumerate(parameters.filters):
        check_size(x, "lenet", number, parameters)
        last = number == len(parameters.filters) - 1
        x = block(x, filters, parameters, pool=not (last and parameters.global_pool == "avg"))
        # 1st: 46 x 46 x 64   -> 23 x 23 x 64
        # 2nd: 21 x 21 x 128  -> 10 x 10 x 128
        # 3rd:  8 x  8 x 256  ->  4 x  4 x 256
        # 4th:  2 x  2 x 512  ->  1 x  1 x 512
    if parameters.global_pool == "avg":
        x = layers.GlobalAveragePooling2D()(x)  # 512: the mean over 2 x 2
        x = layers.Dropout(parameters.dropout)(x)
    else:
        x = layers.Dropout(parameters.dropout)(x)
        x = layers.Flatten()(x)  # 512
    if parameters.dense:
        x = layers.Dense(parameters.wide(parameters.dense), activation="relu")(x)  # 256
        x = layers.Dropout(parameters.dropout)(x)
    logits = layers.Dense(len(EMOTIONS), dtype="float32", name="logits")(x)  # 7
    return keras.Model(faces, logits, name="lenet")
