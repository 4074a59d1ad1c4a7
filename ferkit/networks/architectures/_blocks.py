"""What both families are made of: convolutions, a pooling, batch norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from ferkit.errors import UserError
from ferkit.settings import Settings

if TYPE_CHECKING:
    import keras

BatchNorm = Literal["none", "pool", "convolution"]


class Scaled(Settings):
    """What makes a network of either family larger. The defaults are the notebooks' sizes."""

    width: float = Field(default=1.0, gt=0, le=8, description="factor on every number of filters and units")
    depth: int = Field(
        default=1, ge=1, le=4, description="3x3 convolutions per block; those after the first keep its size"
    )
    padding: Literal["valid", "same"] = Field(default="valid", description="padding of a block's first convolution")
    batch_norm: BatchNorm = Field(
        default="pool", description="batch norm after every `pool`ing, after every `convolution`, or `none`"
    )
    batch_norm_momentum: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="momentum of batch norm's running mean and variance; recipe tuned: 0.9, which short trainings need",
    )
    residual: bool = Field(
        default=False, description="add a block's first convolution to its last; needs depth 2 or more"
    )
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="fraction of units dropped, before and after the dense layer"
    )

    @field_validator("residual")
    @classmethod
    def _needs_depth(cls, residual: bool, info: ValidationInfo) -> bool:
        if residual and info.data.get("depth", 1) < 2:
            raise ValueError("there is nothing to go round with depth 1; set depth 2 or more")
        return residual

    def wide(self, filters: int) -> int:
        """`filters` times `width`, at least 1."""
        return max(1, round(filters * self.width))


def block(x: Any, filters: int, parameters: Scaled, pool: bool = True) -> keras.KerasTensor:
    """`depth` 3x3 convolutions with ReLU, then 2x2 max pooling: (n, h, w, c) -> (n, h // 2, w // 2, filters).

    With padding `valid`, the first convolution takes a pixel off every border before that. Without `pool`, the result
    is (n, h, w, filters).
    """
    from keras import layers

    filters = parameters.wide(filters)
    first = x = convolve(x, filters, 3, parameters, padding=parameters.padding)
    for _ in range(parameters.depth - 1):
        x = convolve(x, filters, 3, parameters, padding="same")
    if parameters.residual:
        x = layers.Add()([first, x])
    if pool:
        x = layers.MaxPooling2D(2)(x)
    return normalise(x, parameters) if parameters.batch_norm == "pool" else x


def check_size(x: Any, architecture: str, number: int, parameters: Scaled) -> None:
    """Refuses a block for which too little of the face is left.

    Raises:
        UserError: `x` (n, h, w, c) is too small for block `number`, counted from 0.
    """
    height, width = x.shape[1:3]
    if min(height, width) < (4 if parameters.padding == "valid" else 2):
        raise UserError(
            f"{architecture}.filters: only {height}x{width} pixels are left for block {number + 1}; "
            f"set at most {number} numbers of filters, padding=same, or larger faces"
        )


def convolve(x: Any, filters: int, kernel: int, parameters: Scaled, padding: str) -> keras.KerasTensor:
    """One convolution with ReLU, with batch norm between them where the parameters say so."""
    from keras import layers

    if parameters.batch_norm != "convolution":
        return layers.Conv2D(filters, kernel, padding=padding, activation="relu")(x)
    x = layers.Conv2D(filters, kernel, padding=padding, use_bias=False)(x)
    return layers.ReLU()(normalise(x, parameters))


def normalise(x: Any, parameters: Scaled) -> keras.KerasTensor:
    """Batch norm."""
    from keras import layers

    return layers.BatchNormalization(momentum=parameters.batch_norm_momentum)(x)
