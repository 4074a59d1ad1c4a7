"""Candidates side by side on the terminal, as JSON, as CSV, and where MLflow shows them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import quote

import mlflow
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferkit.addresses import ui_address
from ferkit.tracking.short_ids import SHOWN
from ferkit.user_input import inert
from pipeline.compare import Row, by_shown_metric
from pipeline.differences import Against

MOST: Final = 4
"""Parameters of a candidate that a table names; JSON and CSV have all."""
LONGEST: Final = 40
"""Characters of such a parameter."""
_WHOLE_ID: Final = re.compile(r"\b[0-9a-f]{32}\b")
WIDE: Final = 140
"""Columns of a terminal from which on a comparison is one table, not two."""


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Prints the candidates of one pipeline run, in the order of the rows: the best on validation first."""
    cells: dict[str, _Cell] = {
        "candidate": _name,
        "macro-F1,\nvalidation": lambda row: _three_digits(row.val_macro_f1),
        "macro-F1,\ntest": lambda row: _three_digits(row.macro_f1),
        "accuracy,\ntest": lambda row: _three_digits(row.accuracy),
        "worst recall": _worst,
        "images/s": _speed,
        "version": _version_among(rows),
        "run": lambda row: row.run_id[:SHOWN],
    }
    console.print(_table(cells, rows))
    _print_failures(rows, console)


def print_comparison(
    rows: Iterable[Row], console: Console, against: Mapping[str, Against | str], reference: str
) -> None:
    """Prints candidates of any pipeline runs by the metric of the column with the arrow, the best first.

    Args:
        rows: of the candidates.
        console: where to.
        against: their differences from the run `reference`, by run id.
        reference: id of the run that all others are held against.
    """
    split, rows = by_shown_metric(rows)
    tested = any(row.accuracy is not None for row in rows)
    metrics: dict[str, _Cell] = {
        "candidate": _name,
        f"macro-F1,\n{split} ↓": lambda row: _three_digits(row.macro_f1 if split == "test" else row.val_macro_f1),
    }
    if split == "test":
        metrics["macro-F1,\nvalidation"] = lambda row: _three_digits(row.val_macro_f1)
    if tested:
        metrics |= {"accuracy,\ntest": lambda row: _three_digits(row.accuracy), "worst recall": _worst}
    metrics |= {"images/s": _speed, "version": _version_among(rows), "run": lambda row: row.run_id[:SHOWN]}
    origin: dict[str, _Cell] = {
        "pipeline\nrun": lambda row: row.pipeline_run[:SHOWN] or "-",
        "when\n(UTC)": lambda row: row.started[:16].replace("T", "\n"),
        "data": _data,
    }
    if any(row.differs for row in rows):
        origin["parameters"] = _parameters
    if tested:
        origin["macro-F1, difference;\nrecalls that differ"] = lambda row: _difference(row, against, reference)
    if console.width >= WIDE:
        console.print(_table(metrics | origin, rows))
    else:
        console.print(_table(metrics, rows))
        console.print()
        console.print(_table({"run": metrics["run"], **origin}, rows))
    _print_failures(rows, console)


_Cell = Callable[[Row], str]
"""What a column shows of a row, in rich's markup."""


def _table(cells: Mapping[str, _Cell], rows: Iterable[Row]) -> Table:
    """A table with a column for each heading of `cells`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in cells:
        number = heading.startswith(("macro-F1,\n", "accuracy", "images/s"))
        fixed = heading.endswith("run") or heading.startswith("when")
        table.add_column(heading, justify="right" if number else "left", no_wrap=fixed, overflow="fold")
    for row in rows:
        table.add_row(*(cell(row) for cell in cells.values()))
    return table


def _print_failures(rows: Iterable[Row], console: Console) -> None:
    for row in rows:
        if row.failure:
            console.print(f"[yellow]{escape(row.name)} failed: {escape(row.failure)}[/]", soft_wrap=True)


def _name(row: Row) -> str:
    return escape(row.name) + (f"\n[dim]reused from {row.reused_from[:SHOWN]}[/]" if row.reused_from else "")


def _data(row: Row) -> str:
    return escape(row.data) + (f"\n{row.data_digest[:SHOWN]}" if row.data_digest else "") or "-"


def _parameters(row: Row) -> str:
    """What differs, short; what the name says already is not said again."""
    said = [f"{name}={value}" for name, value in row.differs.items() if f"{name}={value}" not in row.name.split()]
    said = [_WHOLE_ID.sub(lambda run_id: run_id[0][:SHOWN], each) for each in said]
    shown = "\n".join(each if len(each) <= LONGEST else f"{each[: LONGEST - 1]}…" for each in said[:MOST])
    return escape(shown) + (f"\nand {len(said) - MOST} more" if len(said) > MOST else "")


def _three_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _worst(row: Row) -> str:
    return "-" if row.worst_recall is None else f"{row.worst_recall:.3f} {escape(str(row.worst_emotion))}"


def _speed(row: Row) -> str:
    return "-" if row.images_per_second is None else f"{row.images_per_second:,.0f}"


def _version_among(rows: Iterable[Row]) -> _Cell:
    """Number and standing of a row's version; below, its registered model where the rows are versions of several."""
    of_several = len({row.model for row in rows if row.version}) > 1

    def version(row: Row) -> str:
        if not row.version:
            return row.status.lower() if row.status != "FINISHED" else "-"
        colour = {"approved": "green", "rejected": "yellow"}.get(row.verdict, "dim")
        standing = escape(row.alias or row.verdict.replace("_", " "))
        model = f"\n[dim]{escape(row.model)}[/]" if of_several else ""
        return f"{row.version} [{colour}]{standing}[/]{model}"

    return version


def _difference(row: Row, against: Mapping[str, Against | str], reference: str) -> str:
    if row.run_id == reference:
        return "[dim]all others against this[/]"
    found = against.get(row.run_id, "")
    if isinstance(found, str):
        return f"[dim]{escape(found)}[/]"
    difference = escape(str(found.macro_f1))  # the interval's brackets are no markup
    colour = "green" if found.macro_f1.low > 0 else "red" if found.macro_f1.high < 0 else "default"
    recalls = sorted(found.recall.items(), key=lambda item: item[1].difference)
    of_classes = ", ".join(f"{emotion} {gained.difference:+.2f}" for emotion, gained in recalls) or "no class"
    return f"[{colour}]{difference}[/]\n{of_classes}"


def as_json(rows: Sequence[Row], against: Mapping[str, Against | str]) -> list[dict[str, Any]]:
    """The rows as JSON types, each with its differences under `against`: an object, a sentence, or null."""
    found = []
    for row in rows:
        difference = against.get(row.run_id)
        found.append(asdict(row) | {"against": asdict(difference) if isinstance(difference, Against) else difference})
    return found


def as_csv(rows: Sequence[Row], against: Mapping[str, Against | str]) -> str:
    """The rows as CSV with a header line; differences as three columns of macro-F1."""
    columns = [*Row.__dataclass_fields__, "macro_f1_difference", "macro_f1_low", "macro_f1_high", "against"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = asdict(row) | {"differs": "; ".join(f"{name}={value}" for name, value in row.differs.items())}
        line = {name: inert(value, "'") if isinstance(value, str) else value for name, value in cells.items()}
        difference = against.get(row.run_id)
        if isinstance(difference, Against):
            ends = difference.macro_f1
            line |= {"macro_f1_difference": ends.difference, "macro_f1_low": ends.low, "macro_f1_high": ends.high}
            line["against"] = difference.run_id
        writer.writerow(line)
    return text.getvalue()


def comparison_address(tracking_uri: str, client: mlflow.MlflowClient, run_ids: Sequence[str]) -> str:
    """The same comparison in the MLflow UI: the server's, or where `ferpipe ui` serves a SQLite store."""
    experiments = list(dict.fromkeys(client.get_run(run_id).info.experiment_id for run_id in run_ids))
    shown = f"runs={_as_list(run_ids)}&experiments={_as_list(experiments)}&workflowType=machine_learning"
    return f"{ui_address(tracking_uri)}/#/compare-runs?{shown}"


def _as_list(values: Sequence[str]) -> str:
    return quote("[" + ",".join(f'"{value}"' for value in values) + "]", safe="")
