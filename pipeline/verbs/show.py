"""`ferpipe show`: one pipeline run, or one candidate, in detail."""

from __future__ import annotations

import json
import sys

import click

from pipeline.verbs.options import json_option, model_option, store_option


@click.command()
@click.argument("run")
@model_option
@store_option
@json_option
def show(run: str, model: str, tracking_uri: str, as_json: bool) -> None:
    """Print one run in detail: time, data, parameters, metrics, verdict, path of the report, and the next command.

    RUN is the id of a pipeline run or of a candidate (its first 7 characters will do), or a version (`7`, `champion`)
    for the candidate that it came from. Of a pipeline run, the parameters that are not the defaults are shown; of a
    candidate, the settings that are not those of its recipe, and precision, recall and F1 of every class on test.

    \b
    ferpipe show 1f2e3d4c
    ferpipe show champion
    """
    from rich.console import Console

    from ferkit.tracking.store import connect
    from pipeline.candidates import find_named_run
    from pipeline.show import show_run
    from pipeline.show_table import print_shown

    client = connect(tracking_uri)
    found = show_run(client, find_named_run(client, run, model), tracking_uri)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        print_shown(found, Console(width=None if sys.stdout.isatty() else 160))
