"""Run under each backend in a process of its own: prints `<backend> exact`, or fails with what differs.

Each optimizer takes three steps on one weight and one bias, whose gradients are given: as its formula says.
"""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from typing import Any

import keras
import numpy as np

from ferkit.training.candidate import parse_candidate
from ferkit.training.optimizers import MOMENTUM, optimizer_for

ops: Any = keras.ops

GRADIENTS = (1.0, -0.5, 0.25)
RATE, DECAY, START = 0.1, 0.05, 2.0
EMA = 0.5  # of 4 steps: the average looks back over 2, so that each step is half of it


def steps_of(optimizer: str, **changes: Any) -> tuple[list[float], list[float], list[float]]:
    """A weight, a bias and the weight's average after each step."""
    settings = {"optimizer": optimizer, "learning_rate": RATE, "weight_decay": DECAY, "ema_horizon": EMA, "epochs": 4}
    constant = {"schedule": "constant", "warmup_ratio": 0.0}
    train = parse_candidate({"architecture": "lenet", **settings, **constant, **changes}, {}).train
    made: Any = optimizer_for(train, steps=1)
    weight, bias = (keras.Variable([START], name=name) for name in ("kernel", "bias"))
    made.build([weight, bias])
    taken: tuple[list[float], list[float], list[float]] = ([], [], [])
    for gradient in GRADIENTS:
        made.apply([ops.convert_to_tensor([gradient])] * 2, [weight, bias])
        for values, variable in zip(taken, (weight, bias, made.averages[0]), strict=True):
            values.append(float(ops.convert_to_numpy(variable)[0]))
    made.finalize_variable_values([weight, bias])  # as Keras' fit does when it ends
    assert float(ops.convert_to_numpy(weight)[0]) == taken[0][-1], "the average took the weight's place"
    return taken


def sgd(decay: float, rates: tuple[float, ...] = (RATE,) * 3) -> list[float]:
    weight, velocity, after = START, 0.0, []
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        weight -= rate * decay * weight
        velocity = MOMENTUM * velocity - rate * gradient
        weight += MOMENTUM * velocity - rate * gradient
        after.append(weight)
    return after


def adamw(decay: float) -> list[float]:
    weight, first, second, after = START, 0.0, 0.0, []
    for step, gradient in enumerate(GRADIENTS, 1):
        weight -= RATE * decay * weight
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        weight -= RATE * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)) ** 0.5 + 1e-7)
        after.append(weight)
    return after


def averages(weights: list[float]) -> list[float]:
    after = [weights[0]]
    for weight in weights[1:]:
        after.append(0.5 * after[-1] + 0.5 * weight)
    return after


for name, formula in (("sgd", sgd), ("adamw", adamw)):
    weights, biases, kept = steps_of(name)
    np.testing.assert_allclose(weights, formula(DECAY), rtol=1e-5, err_msg=f"{name}: weight")
    np.testing.assert_allclose(biases, formula(0.0), rtol=1e-5, err_msg=f"{name}: a bias does not decay")
    np.testing.assert_allclose(kept, averages(formula(DECAY)), rtol=1e-5, err_msg=f"{name}: average")

# Up to the peak over two of four steps, then down: rates 0, half, all of it. The last of all would be 0 at step 4.
rising, _, _ = steps_of("sgd", schedule="cosine", warmup_ratio=0.5)
np.testing.assert_allclose(rising, sgd(DECAY, (0.0, RATE / 2, RATE)), rtol=1e-5, err_msg="sgd: schedule")
print(keras.backend.backend(), "exact")
