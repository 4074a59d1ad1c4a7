"""Metrics of a classifier, from its confusion matrix: for one matrix, or for thousands of resampled ones at once.

Every function takes counts int (..., 7, 7), truth along the rows, and reduces the last two axes: one matrix (7, 7)
returns one value, a bootstrap's (10_000, 7, 7) ten thousand. A metric that divides by zero is 0, as scikit-learn's with
`zero_division=0`: a class that is absent and never predicted has precision, recall and F1 of 0, and it COUNTS in the
mean over the seven classes, so that a macro-F1 means the same on every data set (scikit-learn's with
`labels=range(7)`). Balanced accuracy, as scikit-learn's, is the mean recall of the classes that occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ferkit.data import EMOTIONS
from ferkit.errors import UserError

CLASSES = len(EMOTIONS)
CALIBRATION_BINS = 15


def confusion_matrix(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Labels 0..6 (n,) and (n,) -> int64 (7, 7): how often a face of the row's class was predicted as the column's."""
    cells = truth.astype(np.int64) * CLASSES + prediction
    return np.bincount(cells, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def accuracy_of_confusions(counts: np.ndarray) -> np.ndarray:
    """(..., 7, 7) -> (...): share of faces that are predicted correctly."""
    return _ratio(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def recalls_of_confusions(counts: np.ndarray, *, absent: float = 0.0) -> np.ndarray:
    """(..., 7, 7) -> (..., 7): share of a class's faces that are predicted as it; `absent` for one without faces."""
    return _ratio(_hits(counts), counts.sum(axis=-1), absent)


def precisions_of_confusions(counts: np.ndarray) -> np.ndarray:
    """(..., 7, 7) -> (..., 7): share of the faces predicted as a class that belong to it."""
    return _ratio(_hits(counts), counts.sum(axis=-2))


def f1s_of_confusions(counts: np.ndarray) -> np.ndarray:
    """(..., 7, 7) -> (..., 7): harmonic mean of precision and recall, 2 hits / (faces of it + predicted as it)."""
    return _ratio(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def macro_f1_of_confusions(counts: np.ndarray) -> np.ndarray:
    """(..., 7, 7) -> (...): mean F1 of the seven classes, every class the same weight."""
    return f1s_of_confusions(counts).mean(axis=-1)


def weighted_f1_of_confusions(counts: np.ndarray) -> np.ndarray:
    """(..., 7, 7) -> (...): mean F1 of the seven classes, every face the same weight."""
    support = counts.sum(axis=-1)
    return _ratio((f1s_of_confusions(counts) * support).sum(axis=-1), support.sum(axis=-1))


def balanced_accuracy_of_confusions(counts: np.ndarray) -> np.ndarray:
    """(..., 7, 7) -> (...): mean recall of the classes that occur; chance is one seventh when all do."""
    occurs = counts.sum(axis=-1) > 0
    return _ratio((recalls_of_confusions(counts) * occurs).sum(axis=-1), occurs.sum(axis=-1))


def one_vs_rest_accuracies_of_confusions(counts: np.ndarray) -> np.ndarray:
    """(..., 7, 7) -> (..., 7): share of ALL faces that are correctly predicted as this class, or correctly as another.

    The notebook's per-class accuracy (its loop leaves the last class out; here are all seven). It flatters: a class
    with 1.5% of the faces that is never predicted has 0.985.
    """
    total = counts.sum(axis=(-2, -1))[..., None]
    wrong = counts.sum(axis=-1) + counts.sum(axis=-2) - 2 * _hits(counts)
    return _ratio(total - wrong, total)


def log_loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean of -ln(probability of the true class), in nats; ln 7 = 1.946 for a uniform guess.

    Args:
        truth: labels 0..6 (n,), n >= 1.
        probabilities: float (n, 7).
    """
    epsilon = np.finfo(probabilities.dtype).eps  # scikit-learn clips to the same
    of_truth = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(of_truth, epsilon, 1 - epsilon)).mean())


@dataclass(frozen=True)
class Calibration:
    """How often a model is right when it says that it is p sure; arrays (bins,), bins without faces left out.

    Attributes:
        confidence: mean probability of the predicted class in the bin.
        accuracy: share of the bin's faces that are predicted correctly.
        faces: how many there are.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    faces: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: mean |confidence - accuracy|, weighted by faces; 0 is perfect."""
        return float(np.average(np.abs(self.confidence - self.accuracy), weights=self.faces))


def calibration(truth: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS) -> Calibration:
    """Bins faces by the probability of their predicted class, bins of equal width on 0..1.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, equations 2 and 3, with their 15 bins (lower, upper].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    faces = np.bincount(which, minlength=bins)
    there = faces > 0
    return Calibration(
        np.bincount(which, confidence, bins)[there] / faces[there],
        np.bincount(which, right, bins)[there] / faces[there],
        faces[there],
    )


@dataclass(frozen=True)
class Scores:
    """A model's predictions for one split, and every metric that follows from them.

    Attributes:
        truth: labels 0..6 (n,).
        probabilities: float32 (n, 7).
    """

    truth: np.ndarray
    probabilities: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.truth):
            raise UserError("no faces to score (received 0); use a split that has some")

    @cached_property
    def prediction(self) -> np.ndarray:
        """Labels 0..6 (n,), the most probable; of two equal ones the first."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def confusion(self) -> np.ndarray:
        """int64 (7, 7), truth along the rows."""
        return confusion_matrix(self.truth, self.prediction)

    def metrics(self) -> dict[str, float]:
        """Metrics of the whole split, by name."""
        counts = self.confusion
        return {
            "accuracy": float(accuracy_of_confusions(counts)),
            "balanced_accuracy": float(balanced_accuracy_of_confusions(counts)),
            "macro_f1": float(macro_f1_of_confusions(counts)),
            "weighted_f1": float(weighted_f1_of_confusions(counts)),
            "worst_recall": float(recalls_of_confusions(counts, absent=np.inf).min()),
            "one_vs_rest_accuracy": float(one_vs_rest_accuracies_of_confusions(counts).mean()),
            "log_loss": log_loss(self.truth, self.probabilities),
            "calibration_error": calibration(self.truth, self.probabilities).error,
        }

    def surest_mistakes(self, count: int) -> np.ndarray:
        """Indices of the misclassified faces, the most confident first; at most `count`."""
        wrong = np.flatnonzero(self.prediction != self.truth)
        return wrong[np.argsort(-self.probabilities.max(axis=1)[wrong], kind="stable")][:count]

    def metrics_per_emotion(self) -> dict[str, np.ndarray]:
        """Metrics per class, (7,) each, by name."""
        counts = self.confusion
        return {
            "precision": precisions_of_confusions(counts),
            "recall": recalls_of_confusions(counts),
            "f1": f1s_of_confusions(counts),
            "one_vs_rest_accuracy": one_vs_rest_accuracies_of_confusions(counts),
            "support": counts.sum(axis=-1),
        }


def _hits(counts: np.ndarray) -> np.ndarray:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _ratio(part: np.ndarray, whole: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """part / whole, `otherwise` where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), otherwise)
    return np.divide(part, whole, out=out, where=whole > 0)
