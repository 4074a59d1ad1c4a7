"""The saved views: an experiment tag holds each, and their charts are of figures that candidates have."""

from __future__ import annotations

import json

from components.evaluate.evaluate import LOGGED_PER_EMOTION, SIDE_BY_SIDE
from ferkit.data import EMOTIONS
from ferkit.tracking.charts import CLASSES
from ferkit.tracking.names import metric
from ferkit.tracking.views import VIEWS

LONGEST_TAG = 5_000
"""Characters of an experiment's tag, in MLflow 3.17."""


def state_of(view: str) -> dict:
    return json.loads(json.loads(VIEWS[f"mlflow.sharedViewState.{view}"])["state"])


def test_every_view_fits_into_a_tag() -> None:
    assert [name for name, value in VIEWS.items() if len(value) > LONGEST_TAG] == []


def test_the_charts_of_candidates_are_of_what_evaluate_logs() -> None:
    charts = state_of("candidates")["compareRunCharts"]
    assert CLASSES == EMOTIONS
    assert "recall" in LOGGED_PER_EMOTION
    assert [chart["metricKey"] for chart in charts if chart["type"] == "BAR"] == [
        metric("test", "recall", emotion) for emotion in EMOTIONS
    ]
    pictures = {key for chart in charts if chart["type"] == "IMAGE" for key in chart["imageKeys"]}
    assert pictures <= {"learning_curves", *(f"test_{name}" for name in SIDE_BY_SIDE)}


def test_the_columns_stand_in_the_order_in_which_they_are_chosen() -> None:
    """Behind a run's name; else the page puts every metric before the data that it is of."""
    for view in ("candidates", "pipeline-runs", "trials", "seeds"):
        state = state_of(view)
        assert [column for column in state["columnOrder"] if column in state["selectedColumns"]] == (
            state["selectedColumns"]
        )
        assert state["columnOrder"][0] == "attributes.`Run Name`"
        assert set(state["columnWidths"]) <= set(state["columnOrder"])
    columns = state_of("candidates")["columnOrder"]
    first = ["tags.`data.name`", "tags.`pipeline.run`", "metrics.`eval_val/macro_f1`", "metrics.`test/macro_f1`"]
    assert columns[2:8] == [*first, "tags.`verdict`", "tags.`verdict.reasons`"]


def test_every_chart_is_in_a_section() -> None:
    for view in ("candidates", "pipeline-runs"):
        state = state_of(view)
        sections = {section["uuid"] for section in state["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
        assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == len(state["compareRunCharts"])
