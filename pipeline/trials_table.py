"""The best trials of a search, at the end of a run on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import mlflow
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferkit.metrics.evaluation import read_evaluation
from ferkit.search.trials import SearchRecord, TrialRow
from ferkit.tracking.names import State
from ferkit.tracking.short_ids import SHOWN

TOP: Final = 5
"""Trials that the terminal shows."""


def top_trials(search: SearchRecord) -> list[dict[str, Any]]:
    """The best trials on validation, as JSON types: see `Summary.trials`."""
    return [
        {
            "trial": trial.number,
            "name": trial.name,
            "state": trial.state,
            "val_macro_f1": trial.macro_f1,
            "epoch": trial.epoch,
            "run_id": trial.run_id,
            **_evaluated(trial),
        }
        for trial in search.best_first[:TOP]
    ]


def _evaluated(trial: TrialRow) -> dict[str, Any]:
    """What the exported model of a finalist scores on validation; nothing of a trial that is none."""
    evaluation = read_evaluation(mlflow.get_run(trial.run_id)) if trial.state == State.EVALUATED else None
    if evaluation is None:
        return {"evaluated": None, "interval": None}
    scores = evaluation.splits["validation"]
    return {"evaluated": scores.metrics["macro_f1"], "interval": list(scores.intervals["macro_f1"])}


def print_trials(searched: str, trials: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Prints that line and a table of the best trials; nothing without a search.

    Only a finalist's model was scored face by face, so it alone has an interval.
    """
    if not searched:
        return
    console.print(f"\n[bold]search[/]      {escape(searched)}", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("best trials on validation", overflow="fold")
    table.add_column("macro-F1", justify="right")
    table.add_column("epoch", justify="right")
    table.add_column("exported model, 95%")
    table.add_column("run")
    for trial in trials:
        score, epoch, run = f"{trial['val_macro_f1']:.3f}", str(trial["epoch"]), trial["run_id"][:SHOWN]
        table.add_row(escape(trial["name"]), score, epoch, _exported(trial), run)
    console.print(table)


def _exported(trial: Mapping[str, Any]) -> str:
    if trial["interval"] is None:
        return "-"
    low, high = trial["interval"]
    return escape(f"{trial['evaluated']:.3f} [{low:.3f}, {high:.3f}]")
