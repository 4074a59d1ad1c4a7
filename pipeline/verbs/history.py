"""`ferpipe history`: all promotions and rollbacks."""

from __future__ import annotations

import json
import sys

import click

from pipeline.verbs.options import json_option, model_option, store_option


@click.command()
@model_option
@store_option
@json_option
def history(model: str, tracking_uri: str, as_json: bool) -> None:
    """Print the record of promotions: who made which version champion, when, replacing which, from which pipeline run.

    The record is append-only, and it decides. An alias `champion` that differs from the last line (a promotion was
    killed half-way, somebody moved it by hand) is reported; `ferpipe repair`, or the next promotion, restores it. This
    command writes nothing, so it needs no more than the right to read.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ferkit.registry.state import read_state
    from ferkit.registry.versions import choose_model
    from ferkit.tracking.store import connect

    client = connect(tracking_uri)
    state = read_state(client, choose_model(client, model))
    for sentence in state.notes:
        click.echo(f"note: {sentence}", err=True)
    if as_json:
        click.echo(json.dumps([entry.to_dict() for entry in state.entries], indent=2))
        return
    if not state.entries:
        click.echo("nothing was promoted yet; `ferpipe promote` makes the challenger champion")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("#", "when (UTC)", "who", "what", "version", "instead of", "pipeline run", "why"):
        table.add_column(heading, no_wrap=heading != "why")
    for entry in state.entries:
        what = "promote, forced" if entry.forced else entry.action
        now = " [green]champion[/]" if entry is state.entries[-1] else ""
        told = [entry.at, entry.by, what, entry.version, entry.previous or "-", entry.pipeline_run[:8], entry.reason]
        number, when, who, action, version, *rest = [str(entry.number), *(escape(cell) for cell in told)]
        table.add_row(number, when, who, action, version + now, *rest)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
