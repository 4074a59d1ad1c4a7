"""The page of a single candidate, and what the report of a pipeline run shows of each: recalls per class.

Apart from the report, which shows searches too: the step that evaluates a candidate depends on no code that searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ferkit.addresses import run_address
from ferkit.data import EMOTIONS
from ferkit.metrics.evaluation import CandidateRun, Evaluation
from ferkit.registry.verdict import Scored
from ferkit.report.page import render

METRICS: Final = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "worst_recall": "worst recall",
    "one_vs_rest_accuracy": "one-vs-rest accuracy",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}
"""Metrics of a split that a candidate's page shows, and their headings."""


class Mark(NamedTuple):
    """A value in a chart, the ends of its interval (itself twice, where it has none), and a few words beside it."""

    value: float
    low: float
    high: float
    text: str = ""


def write_candidate_page(candidate: CandidateRun, tracking_uri: str) -> str:
    """The page of one candidate, for Kubeflow's UI; for one that was not evaluated it says why.

    Args:
        candidate: as its run tells it.
        tracking_uri: of the MLflow that has the run.
    """
    return render(
        "candidate.html.jinja",
        title=f"{candidate.name}: {'evaluation' if candidate.evaluation else 'not evaluated'}",
        candidate=candidate,
        address=run_address(tracking_uri, candidate.experiment_id, candidate.run_id),
        metrics=METRICS,
        **scored_parts([candidate], None),
    )


def scored_parts(candidates: Sequence[CandidateRun], champion: Scored | None) -> dict[str, Any]:
    """What `parts.html.jinja` shows of those that were evaluated: their recalls per class, and the champion's."""
    scored = [(candidate.name, candidate.evaluation) for candidate in candidates if candidate.evaluation]
    shown = [name for name, _ in scored]
    if champion:
        shown.append(f"champion, version {champion.version}, on the same faces")
    found = [evaluation for _, evaluation in scored]
    support = found[0].scores.per_emotion["support"] if found else []
    return {
        "scored": scored,
        "names": shown,
        "recalls": recalls_per_class(found, champion),
        "support": {emotion: f"{faces:,.0f}" for emotion, faces in zip(EMOTIONS, support, strict=bool(support))},
    }


def recalls_per_class(found: Sequence[Evaluation], champion: Scored | None) -> dict[str, list[Mark]]:
    """The marks of every emotion: each evaluation's recall with its interval, then the champion's without."""
    rows: dict[str, list[Mark]] = {emotion: [] for emotion in EMOTIONS}
    for label, emotion in enumerate(EMOTIONS):
        for scores in (each.scores for each in found):
            recall = scores.per_emotion["recall"][label]
            rows[emotion].append(Mark(recall, *scores.intervals.get(f"recall/{emotion}", (recall, recall))))
        recall = champion.recall.get(emotion) if champion else None
        if recall is not None:
            rows[emotion].append(Mark(recall, recall, recall))
    return rows
