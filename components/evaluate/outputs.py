"""What Kubeflow's UI shows of an evaluation; MLflow has it all already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ferkit.addresses import run_address
from ferkit.data import EMOTIONS
from ferkit.metrics.evaluation import CandidateRun, Evaluation, SplitScores
from ferkit.report.candidate_page import write_candidate_page
from ferkit.tracking.markdown import escape

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "worst_recall", "log_loss", "calibration_error")


def write_outputs(
    candidate: CandidateRun, metrics: Any, classification: Any, report: Any, summary: Any, tracking_uri: str
) -> None:
    """Fills kfp's output artifacts; each gets a file too, because kfp's cache never hits where one has none.

    Args:
        candidate: as its run tells it; one that was not scored leaves them empty.
        metrics: kfp's Metrics.
        classification: kfp's ClassificationMetrics.
        report: kfp's HTML.
        summary: kfp's Markdown.
        tracking_uri: of the MLflow that has the run.
    """
    evaluation = candidate.evaluation
    named = {
        f"{split}_{name}": found.metrics[name]
        for split, found in (evaluation.splits if evaluation else {}).items()
        for name in SHOWN
    }
    for name, value in named.items():
        metrics.log_metric(name, value)
    Path(metrics.path).write_text(json.dumps(named))
    confusion = evaluation.scores.confusion if evaluation else []
    if confusion:
        classification.log_confusion_matrix(list(EMOTIONS), confusion)
    Path(classification.path).write_text(json.dumps(confusion))
    Path(report.path).write_text(write_candidate_page(candidate, tracking_uri))
    Path(summary.path).write_text(as_markdown(candidate, tracking_uri))


def describe(evaluation: Evaluation) -> str:
    """The evaluation in one line, for a person."""
    found = evaluation.scores
    low, high = found.intervals["macro_f1"]
    return (
        f"{found.rows:,} {evaluation.shown} faces: accuracy {found.metrics['accuracy']:.3f}, macro-F1 "
        f"{found.metrics['macro_f1']:.3f} [{low:.3f}, {high:.3f}], worst class's recall "
        f"{found.metrics['worst_recall']:.3f}"
    )


def as_markdown(candidate: CandidateRun, tracking_uri: str) -> str:
    """A candidate's metrics with their 95% intervals, split by split, and a link to its run in MLflow."""
    title = f"## {escape(candidate.name)}\n"
    link = f"[in MLflow]({run_address(tracking_uri, candidate.experiment_id, candidate.run_id)})\n"
    if candidate.evaluation is None:
        return f"{title}\n{escape(candidate.why_not_evaluated)}\n\n{link}"
    lines = ["| split | faces | accuracy | macro-F1 | worst recall |", "| --- | ---: | --- | --- | --- |"]
    lines += [_row(split, found) for split, found in candidate.evaluation.splits.items()]
    return "\n".join([title, *lines, "", link])


def _row(split: str, found: SplitScores) -> str:
    def cell(name: str) -> str:
        ends = found.intervals.get(name)
        return f"{found.metrics[name]:.3f}" + (f" [{ends.low:.3f}, {ends.high:.3f}]" if ends else "")

    return f"| {split} | {found.rows:,} | {cell('accuracy')} | {cell('macro_f1')} | {cell('worst_recall')} |"
