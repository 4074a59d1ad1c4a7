"""Candidates that were trained with several seeds: mean and standard deviation of each group, read from MLflow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import mlflow
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferkit.tracking.names import metric
from ferkit.tracking.ranking import Spread, group_runs, validation_score


@dataclass(frozen=True)
class GroupRow:
    """A group in the table; metrics over its evaluated members, None where there are none.

    Attributes:
        name: what its members have in common.
        members: run ids, the one that stands for the group first.
        stands: that one's name.
        val_macro_f1: macro-F1 on validation, by whose mean groups are ranked.
        macro_f1: on test.
        accuracy: on test.
    """

    name: str
    members: list[str]
    stands: str
    val_macro_f1: Spread | None
    macro_f1: Spread | None
    accuracy: Spread | None


def groups_of(client: mlflow.MlflowClient, run_ids: Iterable[str]) -> list[GroupRow]:
    """The groups of seeds among candidates, best on validation first; none where no candidate has `seeds`."""
    runs = [client.get_run(run_id) for run_id in dict.fromkeys(run_ids)]
    return [
        GroupRow(
            name=group.name,
            members=[run.info.run_id for run in group.runs],
            stands=str(group.runs[0].info.run_name),
            val_macro_f1=group.spread(validation_score),
            macro_f1=group.spread(lambda run: run.data.metrics.get(metric("test", "macro_f1"))),
            accuracy=group.spread(lambda run: run.data.metrics.get(metric("test", "accuracy"))),
        )
        for group in group_runs(runs)
        if group.is_of_seeds
    ]


def print_groups(groups: Iterable[GroupRow], console: Console) -> None:
    """Prints a line per group: mean ± standard deviation over its seeds, and how many they are. Nothing for none."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("seeds of", overflow="fold")
    table.add_column("n", justify="right")
    for heading in ("accuracy", "macro-F1", "validation macro-F1"):
        table.add_column(heading, justify="right")
    table.add_column("stands for them")
    for group in groups:
        n = group.val_macro_f1.n if group.val_macro_f1 else 0
        of = "" if n == len(group.members) else f" of {len(group.members)}"
        spreads = (group.accuracy, group.macro_f1, group.val_macro_f1)
        shown = ["-" if spread is None else str(spread) for spread in spreads]
        table.add_row(escape(group.name), f"{n}{of}", *shown, escape(group.stands) if n else "-")
    if table.row_count:
        console.print()
        console.print(table)
