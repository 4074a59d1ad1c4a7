"""What Kubeflow's UI shows where there was nothing to evaluate. Imports neither TensorFlow nor MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_nothing(sentence: str, metrics: Any, classification: Any, report: Any, summary: Any) -> None:
    """Writes a file for each of kfp's output artifacts: kfp's cache never hits where one has none.

    Args:
        sentence: why there is nothing.
        metrics: kfp's Metrics.
        classification: kfp's ClassificationMetrics.
        report: kfp's HTML.
        summary: kfp's Markdown.
    """
    Path(metrics.path).write_text(json.dumps({}))
    Path(classification.path).write_text(json.dumps([]))
    Path(report.path).write_text(f"<p>{sentence}</p>")
    Path(summary.path).write_text(f"{sentence}\n")
