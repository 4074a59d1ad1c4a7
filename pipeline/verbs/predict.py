"""`ferpipe predict`: what faces express, by the champion or another model."""

from __future__ import annotations

import csv as csv_file
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pipeline.verbs.options import json_option, tracking_option

SHOWN = 20
"""Faces, and refusals, that are printed; `--output` and `--json` have all of them."""


@click.command()
@click.argument("faces", nargs=-1, required=True, metavar="FACES...")
@click.option(
    "--model",
    default="champion",
    show_default=True,
    help="An alias, a version (of NAME: NAME@ALIAS, NAME/VERSION), a registered model, a run, or an address.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write all as CSV.")
@tracking_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context, faces: tuple[str, ...], model: str, output: Path | None, tracking_uri: str, as_json: bool
) -> None:
    """Say what FACES express: pictures (PNG, JPEG, WebP, GIF, BMP), folders of them, or CSVs with a column `pixels`.

    A picture shows ONE face, cut out closely; of one that is not square the middle square counts. A CSV needs no
    labels, and may lie at s3:// or http(s)://. Files are told by their first bytes, not by their names. What is not
    answered is named on standard error; the others are answered, and the exit status is 1.

    \b
    ferpipe predict face.png
    ferpipe predict holiday/ --model 3
    ferpipe predict test.csv --output answers.csv
    """
    from ferkit.errors import UserError
    from ferkit.registry.versions import address_of
    from ferkit.serving.load import load_face_model
    from ferkit.serving.predict import predict as answer
    from ferkit.tracking.store import connect
    from ferkit.user_input import shown

    client = connect(tracking_uri)
    try:
        loaded = load_face_model(address_of(client, model))
    except UserError as error:
        raise UserError(f"{error}; make one champion with `ferpipe promote`, or give --model a version") from None

    refused: list[str] = []
    kept: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    _refuse_to_overwrite(output, faces)
    with _writing(output) as write:
        for some in answer(loaded, faces, refused):
            records = some.records()
            counts.update(record["emotion"] for record in records)
            kept += records if as_json else records[: SHOWN - len(kept)]
            write(records)
    if as_json:
        click.echo(json.dumps({"model": loaded.uri, "faces": kept, "refused": refused}, indent=2))
    else:
        _print_table(kept, counts)
        for sentence in refused[:SHOWN]:
            click.echo(shown(sentence), err=True)
        if len(refused) > SHOWN:
            click.echo(f"and {len(refused) - SHOWN:,} more; --json names them all", err=True)
    if refused:
        ctx.exit(1)


def _refuse_to_overwrite(output: Path | None, faces: tuple[str, ...]) -> None:
    from ferkit.errors import UserError

    for given in faces:
        if output is not None and output.exists() and Path(given).exists() and output.samefile(given):
            raise UserError(f"{output}: is one of the faces that are asked about; give another --output")


@contextmanager
def _writing(output: Path | None) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Takes records and writes them as CSV lines, in UTF-8; does nothing without a file.

    The file appears whole, or not at all where something ends the work.
    """
    if output is None:
        yield lambda records: None
        return
    from ferkit.data import EMOTIONS
    from ferkit.user_input import inert, writing_text

    with writing_text(output, "give another --output") as file:
        lines = csv_file.writer(file)
        lines.writerow(("face", "emotion", *EMOTIONS))

        def write(records: list[dict[str, Any]]) -> None:
            lines.writerows((inert(each["face"]), each["emotion"], *each["probabilities"].values()) for each in records)

        yield write


def _print_table(records: list[dict[str, Any]], counts: Mapping[str, int]) -> None:
    """The first faces with their two most probable emotions; how many of each, where there are more."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ferkit.user_input import shown

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("face", overflow="fold")
    for name in ("emotion", "", "else", ""):
        table.add_column(name, justify="left" if name else "right")
    for record in records:
        (first, p), (second, q) = sorted(record["probabilities"].items(), key=lambda item: -item[1])[:2]
        table.add_row(Text(shown(record["face"])), f"[bold]{first}[/bold]", f"{p:.0%}", second, f"{q:.0%}")
    if records:
        Console(highlight=False).print(table)
    total = sum(counts.values())
    if total > len(records):
        of_each = ", ".join(f"{count:,} {emotion}" for emotion, count in sorted(counts.items(), key=lambda i: -i[1]))
        click.echo(f"... {total:,} faces: {of_each}. --output FILE writes them all.")
