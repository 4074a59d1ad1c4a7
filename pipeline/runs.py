"""The last pipeline runs, as `ferpipe runs` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mlflow
from mlflow.entities import Run
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferkit.tracking import names
from ferkit.tracking.candidates import has_failed
from ferkit.tracking.names import metric
from ferkit.tracking.short_ids import SHOWN
from pipeline.candidates import candidates_of
from pipeline.compare import data_of, start_of


@dataclass(frozen=True)
class PipelineRunLine:
    """A pipeline run.

    Attributes:
        run_id: its parent run's.
        started: UTC, ISO 8601.
        data: a short name.
        status: `FINISHED`, `FAILED`, `RUNNING`, ...
        candidates: how many it has.
        failed: how many of them failed.
        best: the candidate that is the best on validation; empty where the run did not come so far.
        macro_f1: that one's, on test; None where there is none, where test was left unread, and for a run of version
            0.1.
        verdict: `approved`, `rejected` or `not_gated`; empty where the run did not come so far.
        version: that the best one became, as `facial-expression/3`; empty for none.
        failure: the sentence with which the run failed.
    """

    run_id: str
    started: str
    data: str
    status: str
    candidates: int
    failed: int
    best: str
    macro_f1: float | None
    verdict: str
    version: str
    failure: str


def last_runs(client: mlflow.MlflowClient, last: int) -> list[PipelineRunLine]:
    """The last pipeline runs of all experiments, newest first."""
    parents = client.search_runs(
        [experiment.experiment_id for experiment in client.search_experiments()],
        f"tags.`{names.RUN_KIND}` = 'pipeline'",
        order_by=["attributes.start_time DESC"],
        max_results=last,
    )
    return [_line(parent, candidates_of(client, parent)) for parent in parents]


def _line(parent: Run, candidates: Sequence[Run]) -> PipelineRunLine:
    tags = parent.data.tags
    return PipelineRunLine(
        run_id=parent.info.run_id,
        started=start_of(parent),
        data=data_of(parent),
        status=parent.info.status,
        candidates=len(candidates),
        failed=sum(map(has_failed, candidates)),
        best=tags.get(names.BEST_CANDIDATE, ""),
        macro_f1=parent.data.metrics.get(metric("test", "macro_f1")),
        verdict=tags.get(names.VERDICT, ""),
        version=tags.get(names.VERSION, ""),
        failure=tags.get(names.FAILURE, ""),
    )


def print_runs(found: Sequence[PipelineRunLine], console: Console) -> None:
    """The runs as a table; why those failed that did, below it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("run", "when (UTC)", "data", "candidates", "best", "macro-F1, test", "verdict", "version"):
        table.add_column(heading, justify="right" if heading.startswith("macro") else "left")
    for run in found:
        failed = f", {run.failed} failed" if run.failed else ""
        verdict = run.verdict.replace("_", " ") or run.status.lower()
        colour = {"approved": "green", "finished": "dim"}.get(verdict, "yellow")
        table.add_row(
            run.run_id[:SHOWN],
            run.started[:16].replace("T", " "),
            escape(run.data),
            f"{run.candidates}{failed}",
            escape(run.best) or "-",
            "-" if run.macro_f1 is None else f"{run.macro_f1:.3f}",
            f"[{colour}]{escape(verdict)}[/]",
            escape(run.version) or "-",
        )
    console.print(table)
    for run in found:
        if run.failure:
            console.print(f"[yellow]{run.run_id[:SHOWN]}: {escape(run.failure)}[/]", soft_wrap=True)
