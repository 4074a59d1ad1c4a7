"""The weights with which several models' probabilities are mixed: fitted to faces that none of them was fitted to.

The fit maximises the likelihood of the mixture, mean over faces of ln(sum over members of w_m p_m(truth)). That is
concave in the weights, so its one maximum is found from anywhere, here by expectation maximisation (Jelinek and Mercer,
"Interpolated estimation of Markov source parameters from sparse data", 1980):

    r_m(face) = w_m p_m(truth) / sum over members of the same,    w_m <- mean over faces of r_m(face)

Weights stay at 0 or above and their sum at 1 by themselves.
"""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from sklearn.model_selection import StratifiedKFold

FOLDS: Final = 5

STEPS: Final = 10_000
"""At most. With members of much the same quality the last digits take hundreds."""

STILL: Final = 1e-7
"""Change of a weight in one step at which the fit ends."""


def fit_weights(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The weights of the mixture that makes the truth most likely.

    >>> sure = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.5, 0.5], [0.5, 0.5]]])
    >>> fit_weights(np.array([0, 1]), sure).round(3).tolist()
    [1.0, 0.0]

    Args:
        truth: labels 0..6 (n,), n >= 1.
        probabilities: float (members, n, classes).

    Returns:
        float64 (members,), each 0 or more, their sum 1.
    """
    of_truth = np.maximum(probabilities[:, np.arange(len(truth)), truth].astype(np.float64), np.finfo(np.float32).tiny)
    weights = np.full(len(of_truth), 1 / len(of_truth))
    for _ in range(STEPS):
        shares = weights[:, None] * of_truth  # (members, n)
        new = (shares / shares.sum(axis=0)).mean(axis=1)
        moved = float(np.abs(new - weights).max())
        weights = new / new.sum()
        if moved < STILL:
            break
    return weights


def mix(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights (members,) and probabilities (members, n, classes) -> (n, classes)."""
    return np.tensordot(weights, probabilities, axes=1)


def cross_fit(truth: np.ndarray, probabilities: np.ndarray, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """The mixture of every face with weights that were fitted without it.

    What weights score on the very faces they were fitted to flatters them. So the faces are cut into folds, each with
    its share of every class, and each fold is mixed with the weights fitted on all others.

    Args:
        truth: labels 0..6 (n,), n >= 2.
        probabilities: float (members, n, classes).
        folds: how many; fewer where there are fewer faces.
        seed: of which face is in which.

    Returns:
        float (n, classes).
    """
    mixed = np.empty(probabilities.shape[1:], np.float64)
    labels = _in_groups(truth, min(folds, len(truth)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some class has fewer faces than there are folds
        cut = StratifiedKFold(min(folds, len(truth)), shuffle=True, random_state=seed).split(labels, labels)
        for others, fold in cut:
            mixed[fold] = mix(probabilities[:, fold], fit_weights(truth[others], probabilities[:, others]))
    return mixed


def _in_groups(truth: np.ndarray, folds: int) -> np.ndarray:
    """The labels to stratify by: scikit-learn refuses where EVERY class has fewer faces than there are folds."""
    return truth if np.bincount(truth).max() >= folds else np.zeros_like(truth)
