"""Which candidate is the best, by validation alone."""

from __future__ import annotations

import math

from mlflow.entities import Run

from ferkit.tracking import names
from ferkit.tracking.names import metric


def validation_score(run: Run) -> float | None:
    """Macro-F1 on validation, by which candidates are chosen; None for a run that was not scored.

    Of an ensemble with fitted weights it is the cross-fitted one. A training that diverged has figures of the epochs
    before, and is FAILED.
    """
    if run.info.status == "FAILED":
        return None
    figures = run.data.metrics
    score = figures.get(metric("validation", "macro_f1"))
    if score is None or not math.isfinite(score):
        return None
    return figures.get(names.CROSS_FITTED, score)


def rank(run: Run) -> tuple[float, float]:
    """A key to sort candidates by, the best the greatest: macro-F1 on validation, then accuracy there."""
    score = validation_score(run)
    return (-math.inf if score is None else score, run.data.metrics.get(metric("validation", "accuracy"), 0.0))
