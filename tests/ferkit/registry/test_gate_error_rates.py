"""The gate's error rates, by simulation: models whose true figures are known decide how often it may be wrong.

A world says, per class, how often both models are right, only one of them, or neither. Thousand test sets of FER2013's
size are drawn from it, and the gate judges each with thousand resamples. Expected: at the edge of what is allowed, at
most 2.5% are let through (the stated rate, (1 - 0.95) / 2); away from the edge, what is right happens nearly always.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ferkit.data import EMOTIONS
from ferkit.metrics.classification import macro_f1_of_confusions, recalls_of_confusions
from ferkit.metrics.intervals import confusions_of_joint
from ferkit.metrics.paired import compare_on_same_rows
from ferkit.registry.criteria import worse_than_allowed
from ferkit.registry.settings import Register

SIMULATIONS = 1_000
SUPPORT = np.array([491, 55, 528, 879, 594, 416, 626])  # FER2013's PrivateTest
DISGUST = EMOTIONS.index("disgust")
POLICY = Register(resamples=1_000)
SUPERIORITY = POLICY.model_copy(update={"comparison": "superiority"})

# A rate of 2.5% shows as at most 40 of 1,000 with probability 0.998 (binomial); the bootstrap itself is approximate.
AT_MOST = 40


def world(gain: np.ndarray | float, disagree: np.ndarray | float = 0.24) -> np.ndarray:
    """Probabilities (7, 7, 7) of truth x champion x challenger; the challenger's recall is `gain` (7,) above.

    A wrong answer is the next class. The models disagree on a quarter of the rows, as two trainings of one network do,
    and the champion's recall is 0.62 where the gain is 0.
    """
    joint = np.zeros((7, 7, 7))
    shares = SUPPORT / SUPPORT.sum()
    for truth, (more, apart) in enumerate(zip(np.broadcast_to(gain, 7), np.broadcast_to(disagree, 7), strict=True)):
        wrong, share = (truth + 1) % 7, shares[truth]
        both = 0.62 - apart / 2
        joint[truth, truth, truth] = share * both
        joint[truth, truth, wrong] = share * (apart - more) / 2
        joint[truth, wrong, truth] = share * (apart + more) / 2
        joint[truth, wrong, wrong] = share * (1 - both - apart)
    return joint


def true_difference(joint: np.ndarray) -> float:
    champion, challenger = confusions_of_joint(joint)
    return float(macro_f1_of_confusions(challenger) - macro_f1_of_confusions(champion))


def world_that_loses(loss: float) -> np.ndarray:
    """A world in which the challenger's true macro-F1 is lower by exactly `loss`, evenly over the classes."""
    low, high = -0.2, 0.2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if true_difference(world(middle)) < -loss else (low, middle)
    return world(low)


@dataclass(frozen=True)
class Tally:
    """How many of the simulated test sets came out how."""

    not_inferior: int
    superior: int
    ruined: int


def simulate(joint: np.ndarray) -> Tally:
    draw = np.random.default_rng(20261121)
    not_inferior = superior = ruined = 0
    for simulation in range(SIMULATIONS):
        counts = draw.multinomial(SUPPORT.sum(), joint.ravel()).reshape(7, 7, 7)
        found = compare_on_same_rows(counts, POLICY.resamples, simulation, POLICY.confidence)
        not_inferior += not worse_than_allowed(found, POLICY)
        superior += not worse_than_allowed(found, SUPERIORITY)
        ruined += any("ruined" in sentence for sentence in worse_than_allowed(found, POLICY))
    return Tally(not_inferior, superior, ruined)


@pytest.fixture(scope="module")
def equal() -> Tally:
    return simulate(world(0.0))


def test_an_equal_challenger_is_called_better_at_the_stated_rate(equal: Tally) -> None:
    assert true_difference(world(0.0)) == pytest.approx(0, abs=1e-12)
    assert 10 <= equal.superior <= AT_MOST  # far BELOW the stated rate, a gate would let nothing in


def test_an_equal_challenger_is_not_said_to_have_ruined_a_class(equal: Tally) -> None:
    assert equal.ruined <= 5


def test_an_equal_challenger_is_found_not_inferior_two_times_in_three(equal: Tally) -> None:
    assert 600 <= equal.not_inferior <= 780


def test_a_better_challenger_is_let_through_by_either_comparison() -> None:
    better = world(0.06)
    assert true_difference(better) == pytest.approx(0.056, abs=0.001)
    tally = simulate(better)
    assert tally.not_inferior >= 975
    assert tally.superior >= 975


def test_a_challenger_worse_by_just_the_allowed_loss_is_let_through_at_the_stated_rate() -> None:
    worse = world_that_loses(POLICY.allowed_loss)
    assert true_difference(worse) == pytest.approx(-POLICY.allowed_loss, abs=1e-9)
    tally = simulate(worse)
    assert 5 <= tally.not_inferior <= AT_MOST
    assert tally.superior <= 5


def test_a_challenger_better_overall_that_ruined_disgust_is_stopped() -> None:
    gain, disagree = np.full(7, 0.12), np.full(7, 0.24)
    gain[DISGUST], disagree[DISGUST] = -0.5, 0.6
    ruined = world(gain, disagree)
    champion, challenger = confusions_of_joint(ruined)
    assert true_difference(ruined) > 0.01
    lost = recalls_of_confusions(champion)[DISGUST] - recalls_of_confusions(challenger)[DISGUST]
    assert lost == pytest.approx(0.5)
    tally = simulate(ruined)
    assert tally.ruined >= 975
    assert tally.not_inferior <= 25


def test_seven_classes_that_lose_just_what_is_allowed_are_called_ruined_at_the_stated_rate_together() -> None:
    tally = simulate(world(-POLICY.allowed_recall_loss))
    assert tally.ruined <= AT_MOST
