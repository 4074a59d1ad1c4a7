"""What a person sees first in the MLflow UI: an experiment of model training, and saved views of its runs.

The runs table shows no metrics until somebody picks columns. A saved view is an experiment tag (MLflow 3.17 keeps those
made by hand in the same form), so ours are there from the first run on: under "Views", and by an address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from ferkit.tracking import names
from ferkit.tracking.charts import MACRO_F1, OF_CANDIDATES, OF_PIPELINE_RUNS
from ferkit.tracking.names import metric

CANDIDATES: Final = "candidates"
PIPELINE_RUNS: Final = "pipeline-runs"
TRIALS: Final = "trials"
SEEDS: Final = "seeds"
_MADE_AT: Final = 1_767_225_600_000  # milliseconds; any fixed moment: the tag is the same whoever writes it
RUN_NAME: Final = "attributes.`Run Name`"
FIRST: Final = (RUN_NAME, "runDateAndNestInfo")
"""Columns that a table always begins with: a run's name, and when it was made."""
LAST: Final = ("duration",)
WIDTHS: Final = {
    RUN_NAME: 200,
    f"tags.`{names.DATA_NAME}`": 90,
    f"tags.`{names.PARENT_NAME}`": 170,
    f"tags.`{names.BEST_CANDIDATE}`": 150,
    f"tags.`{names.VERDICT}`": 85,
    f"tags.`{names.VERDICT_REASONS}`": 240,
    f"tags.`{names.FAILURE}`": 240,
    f"tags.`{names.VERSION}`": 210,
}
"""Of columns, in pixels; a metric's is as wide as its name's beginning needs, any other 100."""
OF_A_FIGURE: Final = 82
NONE: Final[Mapping[str, Any]] = MappingProxyType({})

OTHER_SCORES: Final = (metric("test", "accuracy"), metric("test", "worst_recall"))
"""Metrics that every view of evaluated runs shows beside macro-F1."""


def _metrics(*columns: str) -> list[str]:
    return [f"metrics.`{column}`" for column in columns]


def _tags(*columns: str) -> list[str]:
    return [f"tags.`{column}`" for column in columns]


def _view(
    name: str,
    kind: str,
    order_by: str,
    columns: Sequence[str],
    which: str = "",
    group: str = "",
    charts: Mapping[str, Any] = NONE,
) -> str:
    """A saved view as MLflow keeps it: the runs of one kind, or some of them, by a metric or by time; and charts.

    The columns stand in this order, behind a run's name.

    With `group`, a tag, those that share its value are folded into one line, which shows their means.
    """
    state: dict[str, Any] = {
        "searchFilter": f"tags.`{names.RUN_KIND}` = '{kind}'{which}",
        "orderByKey": order_by,
        "orderByAsc": False,
        "selectedColumns": list(columns),
        # Left alone, the page puts all metrics first, and says far to the right which data they are of.
        "columnOrder": [*FIRST, *columns, *LAST],
        "columnWidths": {
            column: WIDTHS.get(column, OF_A_FIGURE)
            for column in (*FIRST, *columns)
            if column in WIDTHS or column.startswith("metrics.")
        },
        **charts,
    }
    if group:
        state["groupBy"] = {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": group}],
        }
    closely = (",", ":")  # a tag of an experiment holds 5,000 characters
    view = {"name": name, "createdAt": _MADE_AT, "updatedAt": _MADE_AT, "state": json.dumps(state, separators=closely)}
    return json.dumps(view, separators=closely)


VIEWS: Final = {
    f"mlflow.sharedViewState.{CANDIDATES}": _view(
        "Candidates",
        "candidate",
        f"metrics.`{metric('validation', 'macro_f1')}`",
        [
            *_tags(names.DATA_NAME, names.PARENT_NAME),
            *_metrics(*MACRO_F1),
            *_tags(names.VERDICT, names.VERDICT_REASONS),
            *_metrics(*OTHER_SCORES, metric("test_clean", "macro_f1"), f"{names.BEST}/macro_f1", "images_per_second"),
            *_tags(names.VERSION, names.FAILURE, names.DATA_DIGEST),
            "params.`balance.strategy`",
            "params.`ingest.duplicates`",
            "params.`epochs`",
        ],
        charts=OF_CANDIDATES,
    ),
    f"mlflow.sharedViewState.{PIPELINE_RUNS}": _view(
        "Pipeline runs",
        "pipeline",
        "attributes.start_time",
        [
            *_tags(names.DATA_NAME),
            *_metrics(*MACRO_F1),
            *_tags(names.VERDICT, names.VERDICT_REASONS, names.FAILURE, names.BEST_CANDIDATE, names.VERSION),
            "tags.`mlflow.user`",
            *_metrics(*OTHER_SCORES),
            "params.`balance.strategy`",
            "params.`train.recipe`",
        ],
        charts=OF_PIPELINE_RUNS,
    ),
    f"mlflow.sharedViewState.{TRIALS}": _view(
        "Trials of searches",
        "candidate",
        f"metrics.`{names.BEST_MACRO_F1}`",
        [
            *_tags(names.PARENT_NAME, names.STATE),
            *_metrics(names.BEST_MACRO_F1, "best_val/accuracy", "best_epoch", names.PRUNED_EPOCH, "train_seconds"),
        ],
        f" AND tags.`{names.SEARCH_RUN}` LIKE '%'",
    ),
    f"mlflow.sharedViewState.{SEEDS}": _view(
        "Seeds: means of groups",
        "candidate",
        f"metrics.`{metric('validation', 'macro_f1')}`",
        [
            *_tags(names.PARENT_NAME, names.VERDICT, names.VERSION),
            *_metrics(*MACRO_F1, *OTHER_SCORES),
        ],
        f" AND tags.`{names.GROUP}` LIKE '%'",
        group=names.GROUP,
    ),
}
"""The saved views, as tags of an experiment; an older release's are replaced."""

EXPERIMENT_TAGS: Final = {"mlflow.experimentKind": "custom_model_development", **VIEWS}
"""Tags of a new experiment."""


def view_path(experiment_id: str, view: str = CANDIDATES) -> str:
    """The path of a saved view in the MLflow UI, to append to its address.

    MLflow shows an experiment's page for language models unless told otherwise.
    """
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={view}&workflowType=machine_learning"
