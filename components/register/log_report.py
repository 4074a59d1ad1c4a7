"""The report of a pipeline run, put together from what MLflow holds, and logged to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import mlflow
from mlflow.entities import Run

from ferkit.data import read_profile
from ferkit.metrics.evaluation import read_candidate
from ferkit.registry.verdict import Verdict
from ferkit.report.report import Origin, write_report
from ferkit.tracking import tree
from ferkit.tracking.owner import is_claim

if TYPE_CHECKING:
    from ferkit.report.search_section import SearchSection  # brings Optuna

REPORT: Final = "report.html"
"""The artifact."""


def log_report(
    client: mlflow.MlflowClient, run_ids: Sequence[str], faces: Path, verdict: Verdict | None, parent_run_id: str = ""
) -> str:
    """The report as HTML, which is also logged to the parent run (else the chosen candidate's own).

    Args:
        client: as `connect` returns it.
        run_ids: the candidates' runs; those that failed, and a search's other trials, too.
        faces: data set folder.
        verdict: of the gate; None where test was left unread.
        parent_run_id: the pipeline run's; empty when there is none, and there is a verdict.
    """
    candidates = [read_candidate(client, run_id) for run_id in dict.fromkeys(run_ids)]
    origin = Origin(mlflow.get_tracking_uri(), candidates[0].experiment_id)
    search = None
    if parent_run_id:
        parent = client.get_run(parent_run_id)
        parameters = {name: value for name, value in parent.data.params.items() if not is_claim(name)}
        origin = replace(origin, run_id=parent_run_id, name=str(parent.info.run_name), parameters=parameters)
        search = _search_of(client, parent)
    html = write_report(candidates, verdict, read_profile(faces), origin, search)
    run_id = parent_run_id if verdict is None else parent_run_id or verdict.challenger.run_id
    client.log_text(run_id, html, REPORT)
    return html


def _search_of(client: mlflow.MlflowClient, parent: Run) -> SearchSection | None:
    """A pipeline run's search, as the report shows it; None where it had none."""
    if not tree.children(client, parent, "search"):
        return None
    from ferkit.report.search_section import search_section
    from ferkit.search.trials import find_search

    search = find_search(client, parent)
    return search_section(search) if search is not None and search.best_first else None
