"""How fast the gate's paired bootstrap is, beside resampling the rows themselves: `python benchmarks/gate.py`.

Both resample the same 3,589 rows (FER2013's PrivateTest) with the answers of two models that disagree on about 40% of
them, and compute the difference in macro-F1. The two are timed in turns; medians and their ratio are printed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import f1_score

from ferkit.metrics.intervals import joint_counts
from ferkit.metrics.paired import compare_on_same_rows

ROWS, RESAMPLES, TURNS = 3_589, 10_000, 5
BY_ROWS = 100
"""Resamples that the row-wise bootstrap is timed on; 10,000 would take minutes."""


def drawn_answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and two models' labels (n,), each right in 60% of the rows."""
    draw = np.random.default_rng(0)
    truth = draw.choice(7, ROWS, p=np.array([491, 55, 528, 879, 594, 416, 626]) / ROWS)
    first, second = (np.where(draw.random(ROWS) < 0.55, truth, draw.integers(0, 7, ROWS)) for _ in range(2))
    return truth, first, second


def resample_rows(truth: np.ndarray, first: np.ndarray, second: np.ndarray, resamples: int) -> np.ndarray:
    """What most people write: draw row numbers, ask scikit-learn, again and again."""
    draw = np.random.default_rng(0)
    found = np.empty(resamples)
    for resample in range(resamples):
        rows = draw.integers(0, len(truth), len(truth))
        before = f1_score(truth[rows], first[rows], average="macro")
        found[resample] = f1_score(truth[rows], second[rows], average="macro") - before
    return found


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    truth, first, second = drawn_answers()
    joint = joint_counts(truth, first, second)
    by_counts, by_rows = [], []
    for _ in range(TURNS):
        by_counts.append(seconds(lambda: compare_on_same_rows(joint, RESAMPLES, 0, 0.95)))
        by_rows.append(seconds(lambda: resample_rows(truth, first, second, BY_ROWS)) * RESAMPLES / BY_ROWS)
    counts, rows = statistics.median(by_counts), statistics.median(by_rows)
    print(f"joint counts, macro-F1, accuracy and 7 recalls: {counts:.2f} s ({np.count_nonzero(joint)} occupied cells)")
    print(f"rows and scikit-learn, macro-F1 only:           {rows:.0f} s (from {BY_ROWS} resamples)")
    print(f"ratio: {rows / counts:.0f}")
    again = compare_on_same_rows(joint, RESAMPLES, 0, 0.95).macro_f1
    low, high = np.quantile(resample_rows(truth, first, second, 1_000), [0.025, 0.975])
    print(f"macro-F1 difference {again}; by rows, 1,000 resamples: [{low:+.3f}, {high:+.3f}]")


if __name__ == "__main__":
    main()
