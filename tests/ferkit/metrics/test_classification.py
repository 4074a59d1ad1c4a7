"""Every metric equals scikit-learn's, bit for bit, on ordinary and on degenerate answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from ferkit.errors import UserError
from ferkit.metrics import classification
from ferkit.metrics.classification import Scores, calibration, confusion_matrix

sk: Any = sklearn.metrics
LABELS = list(range(7))


def answers(n: int, seed: int, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) and probabilities float32 (n, 7) that are right a bit more often than chance."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, n).astype(np.uint8)
    scores = generator.normal(size=(n, 7)) + 1.5 * np.eye(7)[truth]
    probabilities = np.exp(scores)
    return truth, (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)


def never_predicted() -> tuple[np.ndarray, np.ndarray]:
    truth, probabilities = answers(300, 5)
    probabilities[:, 1] = 0
    return truth, probabilities / probabilities.sum(axis=1, keepdims=True)


def only_one_predicted() -> tuple[np.ndarray, np.ndarray]:
    truth, _ = answers(70, 6)
    return truth, np.eye(7, dtype=np.float32)[np.full(70, 3)]


def empty_class() -> tuple[np.ndarray, np.ndarray]:
    truth, probabilities = answers(400, 7)
    kept = truth != 4
    return truth[kept], probabilities[kept]


def empty_and_never_predicted() -> tuple[np.ndarray, np.ndarray]:
    truth, probabilities = empty_class()
    probabilities[:, 4] = 0
    return truth, probabilities / probabilities.sum(axis=1, keepdims=True)


def perfect() -> tuple[np.ndarray, np.ndarray]:
    truth, _ = answers(50, 8)
    return truth, np.eye(7, dtype=np.float32)[truth]


CASES: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    **{f"random-{n}-{seed}": lambda n=n, seed=seed: answers(n, seed) for n in (10, 997, 3589) for seed in range(5)},
    "three classes only": lambda: answers(200, 1, classes=3),
    "one row": lambda: answers(1, 2),
    "one row, right": lambda: (np.array([6], np.uint8), np.eye(7, dtype=np.float32)[[6]]),
    "one row, wrong": lambda: (np.array([0], np.uint8), np.eye(7, dtype=np.float32)[[6]]),
    "a class never predicted": never_predicted,
    "only one class predicted": only_one_predicted,
    "an empty class": empty_class,
    "an empty class, never predicted": empty_and_never_predicted,
    "perfect": perfect,
}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Scores:
    return Scores(*CASES[request.param]())


@pytest.fixture(autouse=True)
def _without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_figures_of_a_split_equal_scikit_learn(case: Scores) -> None:
    truth, called = case.truth, case.prediction
    assert np.array_equal(case.confusion, sk.confusion_matrix(truth, called, labels=LABELS))
    ours = case.metrics()
    assert ours["accuracy"] == sk.accuracy_score(truth, called)
    assert ours["balanced_accuracy"] == sk.balanced_accuracy_score(truth, called)
    assert ours["macro_f1"] == sk.f1_score(truth, called, labels=LABELS, average="macro", zero_division=0)
    assert ours["weighted_f1"] == sk.f1_score(truth, called, labels=LABELS, average="weighted", zero_division=0)
    assert ours["log_loss"] == sk.log_loss(truth, case.probabilities, labels=LABELS)


def test_metrics_per_class_equal_scikit_learn(case: Scores) -> None:
    truth, called = case.truth, case.prediction
    ours = case.metrics_per_emotion()
    theirs = sk.precision_recall_fscore_support(truth, called, labels=LABELS, zero_division=0)
    for name, expected in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        assert np.array_equal(ours[name], expected), name
    for label in LABELS:
        assert ours["one_vs_rest_accuracy"][label] == sk.accuracy_score(truth == label, called == label)


def test_a_stack_of_matrices_returns_what_each_returns_alone() -> None:
    stack = np.stack([Scores(*make()).confusion for make in CASES.values()])
    for name in (
        "accuracy_of_confusions",
        "balanced_accuracy_of_confusions",
        "macro_f1_of_confusions",
        "weighted_f1_of_confusions",
        "recalls_of_confusions",
        "precisions_of_confusions",
        "f1s_of_confusions",
        "one_vs_rest_accuracies_of_confusions",
    ):
        figure = getattr(classification, name)
        assert np.allclose(figure(stack), [figure(counts) for counts in stack], rtol=1e-15, atol=0), name


def test_an_absent_class_counts_as_zero_in_the_macro_mean_of_seven() -> None:
    counts = np.diag([5, 5, 5, 5, 5, 5, 0])
    assert classification.macro_f1_of_confusions(counts) == pytest.approx(6 / 7)
    assert classification.balanced_accuracy_of_confusions(counts) == 1
    assert classification.recalls_of_confusions(counts)[6] == 0
    assert np.isnan(classification.recalls_of_confusions(counts, absent=np.nan)[6])


def test_the_worst_recall_is_of_a_class_that_occurs() -> None:
    truth = np.array([0, 0, 1, 1], np.uint8)
    assert Scores(truth, np.eye(7)[[0, 0, 1, 2]]).metrics()["worst_recall"] == 0.5


def test_confusion_has_the_truth_along_the_rows() -> None:
    counts = confusion_matrix(np.array([0, 0, 6], np.uint8), np.array([0, 3, 6]))
    assert (counts[0, 0], counts[0, 3], counts[6, 6], counts.sum()) == (1, 1, 1, 3)


def test_calibration_error_by_hand() -> None:
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    probabilities = np.zeros((4, 7))
    probabilities[:, :2] = sure
    found = calibration(np.array([0, 1, 0, 0]), probabilities)  # of 0.9 half right, of 0.6 all right
    assert found.faces.tolist() == [2, 2]
    assert found.accuracy.tolist() == [1, 0.5]
    assert found.error == pytest.approx((0.4 * 2 + 0.4 * 2) / 4)


def test_calibration_error_is_small_for_answers_drawn_from_their_own_probabilities() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.full(7, 0.5), 50_000)
    truth = (probabilities.cumsum(axis=1) > generator.random((50_000, 1))).argmax(axis=1)
    assert calibration(truth, probabilities).error < 0.01
    assert calibration((truth + 1) % 7, probabilities).error > 0.3


def test_no_faces_are_refused_with_a_sentence() -> None:
    with pytest.raises(UserError, match="no faces to score"):
        Scores(np.empty(0, np.uint8), np.empty((0, 7), np.float32))
