"""The gate's rule on small counts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from ferkit.data import EMOTIONS
from ferkit.metrics.classification import confusion_matrix
from ferkit.metrics.intervals import joint_counts
from ferkit.registry.criteria import below_floors, compare_on_same_rows, worse_than_allowed
from ferkit.registry.settings import Register


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
    assert worse_than_allowed(found, Register(allowed_loss=0, allowed_recall_loss=0)) == []


def test_a_model_against_itself_is_not_superior() -> None:
    found = compare_on_same_rows(joint_counts(TRUTH, BETTER, BETTER), 1_000, 0, 0.95)
    (reason,) = worse_than_allowed(found, Register(comparison="superiority"))
    assert "not shown to be better" in reason


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


def test_a_ruined_class_is_named_with_its_figures() -> None:
    ruined = np.where(np.equal(TRUTH, EMOTIONS.index("fear")), 0, TRUTH)
    found = compare_on_same_rows(joint_counts(TRUTH, BETTER, ruined), 1_000, 0, 0.95)
    (reason,) = worse_than_allowed(found, Register())
    assert reason.startswith("fear is ruined: the difference in its recall, -0.7")
    assert reason.endswith("lies wholly below the allowed -0.05")


def test_a_class_without_rows_is_neither_compared_nor_held_to_a_floor() -> None:
    present = np.not_equal(TRUTH, EMOTIONS.index("disgust"))
    truth, answers = TRUTH[present], TRUTH[present]
    found = compare_on_same_rows(joint_counts(truth, WORSE[present], answers), 1_000, 0, 0.95)
    assert "disgust" not in found.recall
    assert below_floors(confusion_matrix(truth, answers), Register()) == []


def test_one_row_is_enough_to_compare() -> None:
    one = np.array([3])
    found = compare_on_same_rows(joint_counts(one, one, one), 1_000, 0, 0.95)
    assert found.accuracy.difference == 0
    assert list(found.recall) == ["happy"]


def test_floors_name_every_class_below_and_the_macro_f1() -> None:
    only_happy = np.full(len(TRUTH), EMOTIONS.index("happy"))
    reasons = below_floors(confusion_matrix(TRUTH, only_happy), Register())
    assert reasons[0].startswith("macro-F1 0.0")
    assert [reason.split()[2] for reason in reasons[1:]] == [emotion for emotion in EMOTIONS if emotion != "happy"]


def test_a_figure_just_below_its_floor_is_shown_below_it() -> None:
    happy, sad = EMOTIONS.index("happy"), EMOTIONS.index("sad")
    answers = np.repeat([happy, sad], [1_999, 3_001])  # a recall of 0.3998
    reasons = below_floors(confusion_matrix(np.full(5_000, happy), answers), Register(floor_recall=0.4))
    assert "recall of happy 0.3998 is below the floor of 0.4" in reasons


def test_a_figure_at_its_floor_clears_it() -> None:
    assert below_floors(confusion_matrix(TRUTH, TRUTH), Register(floor_macro_f1=1, floor_recall=1)) == []
