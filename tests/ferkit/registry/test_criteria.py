"""The gate's rule on small counts."""

from __future__ import annotations

import numpy as np

from ferkit.data import EMOTIONS
from ferkit.metrics.classification import confusion_matrix
from ferkit.metrics.intervals import joint_counts
from ferkit.metrics.paired import compare_on_same_rows
from ferkit.registry.criteria import below_floors, worse_than_allowed
from ferkit.registry.settings import Register


def drawn_labels(rows: int, right: float, seed: int, truth: np.ndarray) -> np.ndarray:
    """Labels (rows,), a share `right` of them the true ones."""
    draw = np.random.default_rng(seed)
    return np.where(draw.random(rows) < right, truth, draw.integers(0, 7, rows))


TRUTH = np.random.default_rng(7).integers(0, 7, 2_000)
WORSE, BETTER = drawn_labels(2_000, 0.5, 1, TRUTH), drawn_labels(2_000, 0.7, 2, TRUTH)


def test_a_model_against_itself_is_not_worse_than_a_policy_that_allows_no_loss() -> None:
    found = compare_on_same_rows(joint_counts(TRUTH, BETTER, BETTER), 1_000, 0, 0.95)
    assert worse_than_allowed(found, Register(allowed_loss=0, allowed_recall_loss=0)) == []


def test_a_model_against_itself_is_not_superior() -> None:
    found = compare_on_same_rows(joint_counts(TRUTH, BETTER, BETTER), 1_000, 0, 0.95)
    (reason,) = worse_than_allowed(found, Register(comparison="superiority"))
    assert "not shown to be better" in reason


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
