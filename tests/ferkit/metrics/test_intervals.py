"""Bootstrap intervals: the same law as drawing rows, and the coverage they claim."""

from __future__ import annotations

import numpy as np
import pytest

from ferkit.metrics.classification import confusion_matrix, macro_f1_of_confusions, recalls_of_confusions
from ferkit.metrics.intervals import (
    bootstrap_intervals,
    confusions_of_joint,
    interval,
    joint_counts,
    resample_counts,
)


def answers(n: int, seed: int, share_right: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.choice(7, n, p=[0.13, 0.02, 0.14, 0.25, 0.17, 0.12, 0.17])
    return truth, np.where(generator.random(n) < share_right, truth, generator.integers(0, 7, n))


def test_resampled_counts_follow_the_same_law_as_drawing_rows() -> None:
    truth, called = answers(400, 0)
    by_counts = macro_f1_of_confusions(resample_counts(confusion_matrix(truth, called), 4000, seed=1))
    generator = np.random.default_rng(2)
    draws = generator.integers(0, 400, (4000, 400))
    by_rows = macro_f1_of_confusions(np.stack([confusion_matrix(truth[rows], called[rows]) for rows in draws]))
    assert by_counts.mean() == pytest.approx(by_rows.mean(), abs=0.002)
    assert by_counts.std() == pytest.approx(by_rows.std(), rel=0.06)
    assert np.quantile(by_counts, [0.025, 0.975]) == pytest.approx(np.quantile(by_rows, [0.025, 0.975]), abs=0.005)


def test_every_resample_keeps_the_number_of_faces_and_the_empty_cells() -> None:
    counts = joint_counts(*answers(300, 3), answers(300, 4)[1])
    drawn = resample_counts(counts, 50, seed=0)
    assert drawn.shape == (50, 7, 7, 7)
    assert (drawn.sum(axis=(1, 2, 3)) == 300).all()
    assert not drawn[:, counts == 0].any()


def test_the_same_seed_produces_the_same_draws() -> None:
    counts = confusion_matrix(*answers(100, 5))
    assert np.array_equal(resample_counts(counts, 20, seed=7), resample_counts(counts, 20, seed=7))
    assert not np.array_equal(resample_counts(counts, 20, seed=7), resample_counts(counts, 20, seed=8))


def test_joint_counts_hold_both_models_confusions() -> None:
    truth, first = answers(500, 6)
    second = answers(500, 7)[1]
    of_first, of_second = confusions_of_joint(joint_counts(truth, first, second))
    assert np.array_equal(of_first, confusion_matrix(truth, first))
    assert np.array_equal(of_second, confusion_matrix(truth, second))


def test_95_percent_intervals_hold_the_true_recall_about_95_times_in_100() -> None:
    held = 0
    for seed in range(300):  # recall of every class is 0.6 + 0.4/7
        intervals = bootstrap_intervals(confusion_matrix(*answers(1000, seed)), resamples=500, seed=seed)
        low, high = intervals.recalls[3]
        held += low <= 0.6 + 0.4 / 7 <= high
    assert 0.91 <= held / 300 <= 0.985


def test_a_class_without_faces_has_no_interval() -> None:
    counts = np.diag([9, 9, 9, 9, 9, 9, 0])
    intervals = bootstrap_intervals(counts, resamples=200)
    assert np.isnan(intervals.recalls[6]).all()
    assert intervals.recalls[0] == (1, 1)


def test_a_class_of_few_faces_is_left_out_of_the_resamples_that_miss_it() -> None:
    counts = np.diag([200, 1, 0, 0, 0, 0, 0])
    drawn = recalls_of_confusions(resample_counts(counts, 500, seed=0), absent=np.nan)
    assert np.isnan(drawn[:, 1]).mean() == pytest.approx(1 / np.e, abs=0.06)
    assert interval(drawn[:, 1]) == (1, 1)
