"""The groups of seeds of a pipeline run, as a table of its parent run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

import mlflow

from ferkit.tracking.names import metric
from ferkit.tracking.ranking import group_runs, validation_score

ARTIFACT: Final = "groups.csv"

METRICS: Final = tuple(metric("test", name) for name in ("macro_f1", "accuracy", "worst_recall", "log_loss"))


def log_groups(client: mlflow.MlflowClient, run_ids: Sequence[str], parent_run_id: str) -> None:
    """Logs mean, standard deviation (n - 1) and n of each group's metrics; nothing where no candidate has seeds.

    Args:
        client: of the MLflow that holds the runs.
        run_ids: all candidates of the pipeline run.
        parent_run_id: the pipeline run, which gets `groups.csv`, best group on validation first.
    """
    groups = [group for group in group_runs(map(client.get_run, run_ids)) if group.is_of_seeds]
    if not groups:
        return
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["group", "figure", "n", "mean", "standard_deviation"])
    for group in groups:
        spreads = {metric("validation", "macro_f1"): group.spread(validation_score)}
        spreads |= {name: group.spread(lambda run, name=name: run.data.metrics.get(name)) for name in METRICS}
        for name, spread in spreads.items():
            if spread is not None:
                deviation = "" if spread.deviation is None else f"{spread.deviation:.6f}"
                lines.writerow([group.name, name, spread.n, f"{spread.mean:.6f}", deviation])
    client.log_text(parent_run_id, text.getvalue(), ARTIFACT)
