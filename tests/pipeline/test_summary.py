"""The end of a run on the terminal: what is not ours stands there as it is."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from rich.console import Console

from ferkit.tracking.ranking import Spread
from pipeline.compare import Row
from pipeline.comparison_table import as_csv
from pipeline.groups import GroupRow
from pipeline.summary import Summary, print_summary

FOREIGN = "[red]a[/red] [/b] [link=x]c"


def row(**values: object) -> Row:
    given = {
        **dict.fromkeys(Row.__dataclass_fields__, ""),
        **{name: 0.5 for name, field in Row.__dataclass_fields__.items() if "float" in str(field.type)},
        "differs": {},
        **values,
    }
    return Row(**given)  # pyright: ignore[reportArgumentType]


def test_brackets_in_names_sentences_and_addresses_are_no_markup() -> None:
    found = Summary(
        run_id="1f",
        report="/home/[me]/report.html",
        model="facial-expression",
        address="http://[::1]:5000/#/experiments/1",
        candidates=[
            row(name=FOREIGN, run_id="1f", version="7", verdict=FOREIGN, failure=FOREIGN, worst_emotion=FOREIGN)
        ],
        groups=[GroupRow(FOREIGN, ["1f", "2f"], FOREIGN, Spread(2, 0.5, 0.0625), None, Spread(2, 0.25, 0.0))],
        verdict=FOREIGN,
        approved=True,
        challenger="7",
        champion="3",
        next=["/home/[me]/ferpipe promote", "/home/[me]/ferpipe ui"],
    )
    console = Console(file=io.StringIO(), width=400)
    print_summary(found, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count(FOREIGN) == 8  # name, worst class, standing, name and failure again, verdict; group, its member
    assert "0.500 ± 0.062" in text
    assert "http://[::1]:5000/#/experiments/1" in text
    assert text.count("/home/[me]/ferpipe") == 2
    assert "report      /home/[me]/report.html" in text
    print_summary(replace(found, report=""), console)
    assert "ferpipe report 1f\n" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_candidates_name_is_no_formula_in_a_csv() -> None:
    text = as_csv([row(name="=1+1", run_id="1f", failure="@SUM(A1)", differs={"=mix": "2"})], {})
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["name"], line["failure"], line["run_id"]) == ("'=1+1", "'@SUM(A1)", "1f")
    assert line["differs"] == "'=mix=2"
