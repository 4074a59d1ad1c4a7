"""Batch norm's mean and variance, measured for the weights that are scored and kept.

The running ones are those of the weights that a training went through last. An average of weights has others, above all
while the learning rate is high. As `torch.optim.swa_utils.update_bn` does (Izmailov et al., Averaging Weights Leads to
Wider Optima and Better Generalization, 2018; "precise" batch norm in Wu and Johnson, Rethinking "Batch" in BatchNorm,
2021), faces pass through the network as in training, moved and all, in batches, whose means and variances are averaged.
Here it is a bounded number of faces, the same ones in every epoch. Nothing of it stays in the training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ferkit.training.optimizers import assign, values

FACES = 2048
SHARE = 8
"""At most so many faces, and one of so many, pass through the network: of FER2013 9%, forward alone: 3% of an epoch."""


class BatchStatistics:
    """Measures the statistics of a network's batch norm layers.

    Args:
        model: what is trained, see `ferkit.training.step.trainer`.
        network: the network within it.
        state: variables that a step in training changes besides: seed generators.
        sent: for each batch, what a step is sent.
    """

    def __init__(self, model: Any, network: Any, state: Iterable[Any], sent: Sequence[Any]) -> None:
        self.layers: list[Any] = [
            layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)
        ]
        self._state = [*network.non_trainable_variables, *state]
        self._sent = sent
        self._pass: Any = keras.Model(model.input, _InTraining(model)(model.input))
        self._pass.compile(jit_compile=model.jit_compile)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Within it, batch norm has the statistics of the weights as they are; afterwards what it had."""
        if not self.layers:
            yield
            return
        before = values(self._state)
        try:
            self._measure()
            yield
        finally:
            assign(self._state, before)

    def _measure(self) -> None:
        statistics = [variable for layer in self.layers for variable in (layer.moving_mean, layer.moving_variance)]
        momenta = [layer.momentum for layer in self.layers for _ in range(2)]
        nothing = [np.zeros(variable.shape, np.float32) for variable in statistics]
        total = nothing
        for sent in self._sent:
            # From 0, a step takes a running average to (1 - momentum) times the batch's own value.
            assign(statistics, nothing)
            self._pass.predict_on_batch(sent)
            moved = values(statistics)
            total = [sum_ + value / (1 - momentum) for sum_, value, momentum in zip(total, moved, momenta, strict=True)]
        assign(statistics, [sum_ / len(self._sent) for sum_ in total])


class _InTraining(keras.layers.Layer):
    """A model that behaves as in training wherever it is called from."""

    def __init__(self, model: Any) -> None:
        super().__init__(name="in_training")
        self.model = model

    def call(self, sent: Any) -> Any:
        """See the class."""
        return self.model(sent, training=True)
