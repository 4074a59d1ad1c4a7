"""What Kubeflow's UI shows of an evaluation; MLflow has it all already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.faces import EMOTIONS
from components.model.evaluation import CandidateRun
from components.model.report import write_candidate_page

SHOWN = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "worst_recall", "log_loss", "calibration_error")


def write_outputs(candidate: CandidateRun, metrics: Any, classification: Any, report: Any) -> None:
    """Fills kfp's output artifacts; each gets a file too, because kfp's cache never hits where one has none.

    Args:
        candidate: as its run tells it; one that was not scored leaves them empty.
        metrics: kfp's Metrics.
        classification: kfp's ClassificationMetrics.
        report: kfp's HTML.
    """
    evaluation = candidate.evaluation
    figures = {
        f"{split}_{name}": found.figures[name]
        for split, found in (evaluation.splits if evaluation else {}).items()
        for name in SHOWN
    }
    for name, value in figures.items():
        metrics.log_metric(name, value)
    Path(metrics.path).write_text(json.dumps(figures))
    confusion = evaluation.splits["test"].confusion if evaluation else []
    if confusion:
        classification.log_confusion_matrix(list(EMOTIONS), confusion)
    Path(classification.path).write_text(json.dumps(confusion))
    Path(report.path).write_text(write_candidate_page(candidate))
