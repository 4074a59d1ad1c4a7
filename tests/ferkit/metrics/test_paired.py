"""The paired bootstrap against scikit-learn's figures and against a bootstrap that draws rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from ferkit.data import EMOTIONS
from ferkit.metrics.intervals import joint_counts
from ferkit.metrics.paired import compare_on_same_rows


def drawn_labels(rows: int, right: float, seed: int, truth: np.ndarray) -> np.ndarray:
    """Labels (rows,), a share `right` of them the true ones."""
    draw = np.random.default_rng(seed)
    return np.where(draw.random(rows) < right, truth, draw.integers(0, 7, rows))


TRUTH = np.random.default_rng(7).integers(0, 7, 2_000)
WORSE, BETTER = drawn_labels(2_000, 0.5, 1, TRUTH), drawn_labels(2_000, 0.7, 2, TRUTH)


def per_class(labels: np.ndarray) -> np.ndarray:
    return np.asarray(recall_score(TRUTH, labels, average=None))  # pyright: ignore[reportArgumentType]


def test_differences_are_those_of_scikit_learn_on_the_rows() -> None:
    found = compare_on_same_rows(joint_counts(TRUTH, WORSE, BETTER), 1_000, seed=0, confidence=0.95)
    expected = f1_score(TRUTH, BETTER, average="macro") - f1_score(TRUTH, WORSE, average="macro")
    assert found.macro_f1.difference == pytest.approx(expected, abs=1e-12)
    recalls = per_class(BETTER) - per_class(WORSE)
    assert [found.recall[emotion].difference for emotion in EMOTIONS] == pytest.approx(recalls.tolist(), abs=1e-12)
    assert found.accuracy.difference == pytest.approx(np.mean(BETTER == TRUTH) - np.mean(WORSE == TRUTH), abs=1e-12)


def test_intervals_are_those_of_a_bootstrap_over_rows() -> None:
    found = compare_on_same_rows(joint_counts(TRUTH, WORSE, BETTER), 10_000, seed=0, confidence=0.95).macro_f1
    draw = np.random.default_rng(3)
    by_rows = []
    for _ in range(400):
        rows = draw.integers(0, len(TRUTH), len(TRUTH))
        labels = TRUTH[rows]
        by_rows.append(f1_score(labels, BETTER[rows], average="macro") - f1_score(labels, WORSE[rows], average="macro"))
    spread = float(np.std(by_rows))
    assert found.low == pytest.approx(found.difference - 1.96 * spread, abs=0.25 * spread)
    assert found.high == pytest.approx(found.difference + 1.96 * spread, abs=0.25 * spread)


def test_the_same_counts_and_seed_give_the_same_intervals() -> None:
    joint = joint_counts(TRUTH, WORSE, BETTER)
    assert compare_on_same_rows(joint, 1_000, 5, 0.95) == compare_on_same_rows(joint, 1_000, 5, 0.95)
    assert compare_on_same_rows(joint, 1_000, 5, 0.95) != compare_on_same_rows(joint, 1_000, 6, 0.95)


def test_a_model_against_itself_differs_by_exactly_nothing() -> None:
    found = compare_on_same_rows(joint_counts(TRUTH, BETTER, BETTER), 1_000, 0, 0.95)
    assert (found.macro_f1.low, found.macro_f1.difference, found.macro_f1.high) == (0, 0, 0)


def test_recall_intervals_hold_together_so_each_is_wider_than_one_alone() -> None:
    joint = joint_counts(TRUTH, WORSE, BETTER)
    together, alone = (
        compare_on_same_rows(joint, 10_000, 0, confidence).recall["sad"] for confidence in (0.95, 1 - 0.05 / 7)
    )
    assert together.high - together.low < alone.high - alone.low  # 0.95 for all is 1 - 0.05 / 7 for each
    alone = compare_on_same_rows(
        joint_counts(*(labels[TRUTH == 4] for labels in (TRUTH, WORSE, BETTER))), 10_000, 0, 0.95
    )
    assert alone.recall["sad"].high - alone.recall["sad"].low < together.high - together.low


def test_one_row_is_enough_to_compare() -> None:
    one = np.array([3])
    found = compare_on_same_rows(joint_counts(one, one, one), 1_000, 0, 0.95)
    assert found.accuracy.difference == 0
    assert list(found.recall) == ["happy"]
