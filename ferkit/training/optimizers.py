"""What moves the weights: AdamW or SGD, a schedule of its learning rate, and an average of the weights beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ferkit.training.schedules import SCHEDULES
from ferkit.training.settings import ResolvedTrain

ops: Any = keras.ops

MOMENTUM = 0.9
"""Of `sgd`."""


class Averaging:
    """Leaves an optimizer's average of the weights beside them (Polyak and Juditsky, 1992).

    Keras' own optimizers put it in the weights' place whenever `fit` ends. That is after every epoch here, and the next
    one would go on from an average that lags behind.
    """

    use_ema: bool
    _model_variables_moving_average: list[Any]

    def finalize_variable_values(self, var_list: Any) -> None:
        """Leaves the weights as they are."""

    @property
    def averages(self) -> list[Any]:
        """The average of each trainable variable, in their order; empty where none are kept."""
        return self._model_variables_moving_average if self.use_ema else []


class AveragingAdamW(Averaging, keras.optimizers.AdamW):
    """Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019)."""


class AveragingSGD(Averaging, keras.optimizers.SGD):
    """SGD with Nesterov's momentum (Sutskever et al., 2013) and decoupled weight decay (Loshchilov and Hutter, 2019).

    For learning rate r, momentum m, weight decay d and gradient g, as Keras has it::

        w <- w - r d w
        v <- m v - r g
        w <- w + m v - r g

    The decay stands outside the momentum: one of d is what an L2 penalty of (1 - m) d comes to, so 0.005 here is the
    0.0005 of papers and PyTorch's `weight_decay` with momentum 0.9.
    """


def optimizer_for(settings: ResolvedTrain, steps: int) -> AveragingAdamW | AveragingSGD:
    """The optimizer, with its schedule and average over all epochs of `steps` steps.

    `adamw` without weight decay is Adam. Biases, and batch norm's factors and offsets, never decay. `sgd` wants batch
    norm after every convolution: without it a learning rate that is worth having diverges.
    """
    total = steps * settings.epochs
    momentum = 1 - 1 / max(1.0, settings.ema_horizon * total)
    shared: dict[str, Any] = {
        "learning_rate": learning_rate_for(settings, total),
        "weight_decay": settings.weight_decay,
        "use_ema": momentum > 0,
        "ema_momentum": momentum,
    }
    optimizer = (
        AveragingSGD(momentum=MOMENTUM, nesterov=True, **shared)
        if settings.optimizer == "sgd"
        else AveragingAdamW(**shared)
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def learning_rate_for(settings: ResolvedTrain, total: int) -> Any:
    """A number, or a schedule over `total` steps: see `ferkit.training.schedules`."""
    return SCHEDULES[settings.schedule](settings.learning_rate, total, int(settings.warmup_ratio * total))


@contextmanager
def averaged(model: Any) -> Iterator[None]:
    """Within it, a model's weights are their averages over the last steps, where its optimizer keeps averages.

    Batch norm's running mean and variance stay what they are: see `ferkit.training.batch_statistics`.
    """
    weights = model.trainable_variables if model.optimizer.averages else []
    trained, averages = values(weights), values(model.optimizer.averages)
    assign(weights, averages)
    try:
        yield
    finally:
        assign(weights, trained)


def values(variables: Iterable[Any]) -> list[np.ndarray]:
    """Copies: on JAX, a variable assigned another's array would share it, and `predict` frees its model's arrays."""
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: Iterable[Any], values: Iterable[np.ndarray]) -> None:
    """Each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
