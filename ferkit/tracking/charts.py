"""Charts of a saved view, in the form in which MLflow 3.17's page keeps those that people make by hand.

The page adds a chart of every metric and picture that has none, in sections of its own, so ours come first and nothing
is missing. What a parallel plot's axes are is fixed in a view: those are the settings that candidates differ in most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ferkit.tracking.names import metric

CLASSES: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""As in the data contract, which this package does not import."""

SHOWN_RUNS: Final = 20
"""Runs at most in one chart: those that the table shows first."""

SETTINGS: Final = ("architecture", "recipe", "balance.strategy", "ingest.duplicates", "learning_rate", "epochs")
"""Parameters of candidates: axes of the parallel plot."""


@dataclass(frozen=True)
class Section:
    """Charts under a heading.

    Attributes:
        heading: of the section.
        columns: charts beside each other.
        charts: as `parallel`, `bars` and `pictures` make them.
        height: of a chart, in pixels.
    """

    heading: str
    columns: int
    charts: Sequence[Mapping[str, Any]]
    height: int = 360


def in_view(sections: Sequence[Section]) -> dict[str, Any]:
    """The sections, in their order, as a part of a view's state."""
    placed = [
        {
            "uuid": f"{place}-{number}",
            "runsCountToCompare": SHOWN_RUNS,
            "metricSectionId": f"section-{place}",
            **chart,
        }
        for place, section in enumerate(sections)
        for number, chart in enumerate(section.charts)
    ]
    headed = [
        {
            "uuid": f"section-{place}",
            "name": section.heading,
            "columns": section.columns,
            "cardHeight": section.height,
            "display": True,
            "isReordered": True,  # else the page sorts them by name
        }
        for place, section in enumerate(sections)
    ]
    return {"compareRunCharts": placed, "compareRunSections": headed, "isAccordionReordered": True}


def parallel(parameters: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    """A parallel-coordinates plot: a line per run, over parameters and then metrics."""
    return {
        "type": "PARALLEL",
        "selectedParams": list(parameters),
        "selectedMetrics": list(metrics),
        "showAllRuns": False,
    }


def bars(key: str) -> dict[str, Any]:
    """A bar per run of one metric."""
    return {"type": "BAR", "metricKey": key, "selectedMetricKeys": [key], "displayName": key}


def pictures(key: str) -> dict[str, Any]:
    """A picture of every run that logged one under this key, without its parameters, which would hide it."""
    return {"type": "IMAGE", "imageKeys": [key], "displayName": key, "step": 0, "showRunParams": False}


MACRO_F1: Final = (metric("validation", "macro_f1"), metric("test", "macro_f1"))
"""On validation and test: where the parallel plot ends, and what tables show first."""

PICTURES: Final = ("learning_curves", "test_confusion_matrix", "test_mistakes")
"""Pictures of a candidate, by their keys in the image grid."""

OF_CANDIDATES: Final = in_view(
    [
        Section("Settings and scores", 1, [parallel(SETTINGS, MACRO_F1)]),
        Section("Recall of each class, test", 4, [bars(metric("test", "recall", emotion)) for emotion in CLASSES]),
        Section("Side by side", 1, [pictures(key) for key in PICTURES], height=680),
    ]
)

OF_PIPELINE_RUNS: Final = in_view(
    [
        Section(
            "The challenger of each run",
            3,
            [bars(metric("test", name)) for name in ("macro_f1", "accuracy", "worst_recall")],
        )
    ]
)
