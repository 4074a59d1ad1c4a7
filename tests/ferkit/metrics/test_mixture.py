"""Weights of a mixture: the maximum of its likelihood, and what they score on faces they were not fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from ferkit.metrics import mixture
from ferkit.metrics.mixture import cross_fit, fit_weights, mix


def answers(rng: np.random.Generator, truth: np.ndarray, skill: float) -> np.ndarray:
    """A model's probabilities (n, 7), the more on the truth the greater its skill; its errors are its own."""
    logits = rng.normal(0, 1, (len(truth), 7))
    logits[np.arange(len(truth)), truth] += skill
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.fixture
def truth() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 7, 600)


@pytest.fixture
def probabilities(truth: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([answers(rng, truth, skill) for skill in (2.0, 1.5, 0.0)])


def log_loss(weights: np.ndarray, truth: np.ndarray, probabilities: np.ndarray) -> float:
    return float(-np.log(mix(probabilities, weights)[np.arange(len(truth)), truth]).mean())


def test_the_weights_are_those_that_a_general_optimizer_finds(truth: np.ndarray, probabilities: np.ndarray):
    weights = fit_weights(truth, probabilities)
    found = minimize(
        lambda asked: log_loss(asked, truth, probabilities),
        np.full(3, 1 / 3),
        method="SLSQP",
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda asked: asked.sum() - 1},
        options={"ftol": 1e-12},
    )
    np.testing.assert_allclose(weights, found.x, atol=1e-3)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > weights[1] > weights[2]


def test_equal_models_keep_equal_weights(truth: np.ndarray, probabilities: np.ndarray):
    np.testing.assert_allclose(fit_weights(truth, probabilities[[0, 0]]), [0.5, 0.5])


def test_a_certain_and_wrong_model_does_not_break_the_fit(truth: np.ndarray, probabilities: np.ndarray):
    wrong = np.eye(7)[(truth + 1) % 7]
    np.testing.assert_allclose(fit_weights(truth, np.stack([probabilities[0], wrong])), [1, 0], atol=1e-4)
    np.testing.assert_allclose(fit_weights(truth, np.stack([wrong, wrong])), [0.5, 0.5])


def test_no_face_is_mixed_with_weights_that_saw_it(truth, probabilities, monkeypatch: pytest.MonkeyPatch):
    """Each face carries its number in place of probabilities, so that a fit can be asked which faces it saw."""
    numbered = np.broadcast_to(np.arange(600.0)[:, None] / 1e6, (3, 600, 7))
    seen: list[set[float]] = []
    mixed: list[set[float]] = []

    def fit(_: np.ndarray, faces: np.ndarray) -> np.ndarray:
        seen.append(set(faces[0, :, 0]))
        return np.array([1.0, 0.0, 0.0])

    def mix_them(faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
        mixed.append(set(faces[0, :, 0]))
        return mix(faces, weights)

    monkeypatch.setattr(mixture, "fit_weights", fit)
    monkeypatch.setattr(mixture, "mix", mix_them)
    cross_fit(truth, numbered)
    assert len(seen) == len(mixed) == 5
    assert all(not fitted & held for fitted, held in zip(seen, mixed, strict=True))
    assert set().union(*mixed) == set(numbered[0, :, 0])


def test_cross_fitting_does_not_flatter_where_fitting_does():
    """Of 40 models that guess, weights fitted to 60 faces look better than they are; cross-fitted ones do not."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 7, 60)
    guesses = rng.dirichlet(np.ones(7), (40, 60))
    uniform = np.log(7)
    fitted = log_loss(fit_weights(labels, guesses), labels, guesses)
    held_out = -np.log(cross_fit(labels, guesses)[np.arange(60), labels]).mean()
    assert fitted < uniform < held_out


def test_a_handful_of_faces_is_enough():
    labels = np.array([0, 1, 2, 3])
    two = np.random.default_rng(0).dirichlet(np.ones(7), (2, 4))
    assert cross_fit(labels, two).sum(axis=1) == pytest.approx([1] * 4)
