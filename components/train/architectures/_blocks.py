"""What both families are made of: convolutions, a pooling, batch norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from components.section import Section

if TYPE_CHECKING:
    import keras

BatchNorm = Literal["none", "pool", "convolution"]


class Scaled(Section):
    """What makes a network of either family larger. The defaults are the notebooks' sizes."""

    width: float = Field(1.0, gt=0, le=8, description="factor on every number of filters and units")
    depth: int = Field(1, ge=1, le=4, description="3x3 convolutions per block; those after the first keep its size")
    padding: Literal["valid", "same"] = Field("valid", description="of a block's first convolution")
    batch_norm: BatchNorm = Field("pool", description="after every `pool`ing, after every `convolution`, or `none`")
    residual: bool = Field(False, description="add a block's first convolution to its last; needs depth 2 or more")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of units dropped, before and after the dense layer")

    def wide(self, filters: int) -> int:
        """`filters` times `width`, at least 1."""
        return max(1, round(filters * self.width))


def block(x: Any, filters: int, parameters: Scaled) -> keras.KerasTensor:
    """`depth` 3x3 convolutions with ReLU, then 2x2 max pooling: (n, h, w, c) -> (n, h // 2, w // 2, filters).

    With padding `valid`, the first convolution takes a pixel off every border before that.
    """
    from keras import layers

    filters = parameters.wide(filters)
    first = x = convolve(x, filters, 3, parameters, padding=parameters.padding)
    for _ in range(parameters.depth - 1):
        x = convolve(x, filters, 3, parameters, padding="same")
    if parameters.residual and parameters.depth > 1:
        x = layers.Add()([first, x])
    x = layers.MaxPooling2D(2)(x)
    return layers.BatchNormalization()(x) if parameters.batch_norm == "pool" else x


def convolve(x: Any, filters: int, kernel: int, parameters: Scaled, padding: str) -> keras.KerasTensor:
    """One convolution with ReLU, with batch norm between them where the parameters say so."""
    from keras import layers

    if parameters.batch_norm != "convolution":
        return layers.Conv2D(filters, kernel, padding=padding, activation="relu")(x)
    x = layers.Conv2D(filters, kernel, padding=padding, use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))
