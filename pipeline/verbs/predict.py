"""`ferpipe predict`: predicts emotions with the champion or another model."""

from __future__ import annotations

import csv as csv_file
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ferkit.user_input import shown
from pipeline.verbs.notices import without_notices
from pipeline.verbs.options import json_option, store_option
from pipeline.verbs.predict_output import SHOWN, JsonPrinter, RefusalPrinter, bar_over

if TYPE_CHECKING:
    from ferkit.registry.versions import Version


@click.command()
@click.argument("faces", nargs=-1, required=True, metavar="FACES...")
@click.option(
    "--model",
    default="champion",
    show_default=True,
    help="An alias, a version (of NAME: NAME@ALIAS, NAME/VERSION), a registered model, a run, or an address.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="CSV file to write all predictions to.",
)
@store_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context, faces: tuple[str, ...], model: str, output: Path | None, tracking_uri: str, as_json: bool
) -> None:
    """Predict the emotions of FACES: pictures (PNG, JPEG, WebP, GIF, BMP), folders of them, CSVs with `pixels`.

    A picture shows ONE face, cut out closely; one that is not square is cut to its middle square. A CSV needs no
    labels, and may lie at s3://, gs:// or http(s)://. Files are recognized by their first bytes, not by their names.
    Inputs that cannot be read are named on standard error, and the exit status is 1; all others are predicted. Any
    number of faces: they are read, predicted and written some at a time.

    \b
    ferpipe predict face.png
    ferpipe predict holiday/ --model 3
    ferpipe predict test.csv --output answers.csv
    """
    from ferkit.registry.model_addresses import address_of, notes_at, version_at
    from ferkit.serving.load import load_face_model
    from ferkit.serving.predict import predict as answer
    from ferkit.tracking.store import connect

    client = connect(tracking_uri)
    _refuse_to_overwrite(output, faces)
    address = address_of(client, model)
    version = version_at(client, address)  # an alias may move while the model is loaded
    with without_notices():
        loaded = load_face_model(version.uri if version else address)
    for sentence in notes_at(client, address):
        click.echo(f"note: {sentence}", err=True)
    counts: Counter[str] = Counter()
    first: list[dict[str, Any]] = []
    refused: list[str] = []
    printer = JsonPrinter({"model": address, **_named(version)}) if as_json else RefusalPrinter()
    with _writing(output) as write, printer, bar_over(faces) as on_read:
        for some in answer(loaded, faces, refused, on_read):
            records = some.records()
            counts.update(record["emotion"] for record in records)
            first += records[: SHOWN - len(first)]
            write(records)
            printer.add(records, refused)
            refused.clear()
        printer.add([], refused)
    if not as_json:
        _print_table(first, counts)
        answered = f"{version.model} version {version.number}" if version else address
        click.echo(f"answered by {shown(answered)}" + (f", run {version.run_id[:8]}" if version else ""))
    if printer.refused:
        ctx.exit(1)


def _named(version: Version | None) -> dict[str, str | None]:
    """Model, version and run that predicted, for programs; None each for a model that is not registered."""
    if version is None:
        return {"registered_model": None, "version": None, "run_id": None}
    return {"registered_model": version.model, "version": version.number, "run_id": version.run_id}


def _refuse_to_overwrite(output: Path | None, faces: tuple[str, ...]) -> None:
    from ferkit.errors import UserError

    for source in faces:
        if output is not None and output.exists() and Path(source).exists() and output.samefile(source):
            raise UserError(f"{output}: is one of the inputs; use another --output")


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

    with writing_text(output, "use another --output") as file:
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
