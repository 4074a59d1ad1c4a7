"""A pipeline run or a candidate on the terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferkit.durations import duration
from ferkit.tracking.short_ids import SHOWN
from pipeline.compare import Row
from pipeline.comparison_table import print_table
from pipeline.show import Shown

LONGEST: Final = 60
"""Characters of a parameter's value that are shown; MLflow and --json have all."""
MARGIN: Final = 14
"""Characters before what a line says."""


def print_shown(found: Shown, console: Console) -> None:
    """Prints a run: its properties line by line, then metrics, verdict, and the next command."""
    took = f", {duration(found.seconds)}" if found.seconds is not None else ""
    by = f", by {found.user}" if found.user else ""
    what = {"pipeline": "pipeline run", "candidate": "candidate"}[found.kind]
    lines = {
        what: f"{escape(found.name)}  [dim]{found.run_id}[/]",
        "when": escape(f"{found.started[:16].replace('T', ' ')} UTC{took}{by}"),
        "note": escape(" ".join(found.note.split())),
        "status": _status(found),
        "of": escape(found.pipeline_run),
        "data": escape(", ".join(filter(None, (found.data, found.csv, found.data_digest and _digest(found))))),
        "code": escape(", ".join(f"{name} {value}" for name, value in found.code.items())),
        "differs": _differs(found),
    }
    _print_lines(lines, console)
    if found.candidates:
        console.print()
        print_table([_with_own_failure(row, found) for row in found.candidates], console)
    _print_per_class(found, console)
    console.print()
    verdict = f"[{'green' if found.verdict.startswith('approved') else 'yellow'}]{escape(found.verdict)}[/]"
    _print_lines(
        {
            "verdict": verdict if found.verdict else "",
            "report": escape(found.report),
            "in MLflow": escape(found.address),
            "next": "\n".join(escape(each) for each in found.next),
        },
        console,
    )


def _with_own_failure(row: Row, found: Shown) -> Row:
    """Of a pipeline run's candidate: without the failure that ended it with its run, which stands above."""
    return replace(row, failure="") if found.kind == "pipeline" and row.failure == found.failure else row


def _status(found: Shown) -> str:
    colour = "green" if found.status == "FINISHED" else "yellow"
    failure = f": {escape(found.failure)}" if found.failure and found.kind == "pipeline" else ""  # else below its row
    return f"[{colour}]{escape(found.status.lower())}[/]{failure}"


def _digest(found: Shown) -> str:
    return f"digest {found.data_digest[:SHOWN]}"


def _differs(found: Shown) -> str:
    """Parameters that are not the usual ones, one beside the other."""
    from_what = "the defaults" if found.kind == "pipeline" else "its recipe"
    if not found.differs:
        return f"[dim]in nothing from {from_what}[/]"
    said = [f"{name}={_cut(value)}" for name, value in sorted(found.differs.items())]
    return f"{escape(', '.join(said))} [dim](from {from_what})[/]"


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"


def _print_lines(lines: dict[str, str], console: Console) -> None:
    for name, text in lines.items():
        for number, line in enumerate(text.splitlines()):
            console.print(f"[bold]{'' if number else name:<{MARGIN}}[/]{line}", highlight=False, soft_wrap=True)


def _print_per_class(found: Shown, console: Console) -> None:
    if not found.per_class:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class, test")
    for name in ("precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for emotion, metrics in found.per_class.items():
        cells = [f"{metrics[name]:.3f}" if name in metrics else "-" for name in ("precision", "recall", "f1")]
        table.add_row(escape(emotion), *cells)
    console.print()
    console.print(table)
