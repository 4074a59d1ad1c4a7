"""`ferpipe runs`: lists the last pipeline runs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from pipeline.verbs.options import json_option, store_option


@click.command()
@click.option("--last", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of runs.")
@store_option
@json_option
def runs(last: int, tracking_uri: str, as_json: bool) -> None:
    """List the last pipeline runs, newest first: time, data, number of candidates, the best one, the verdict.

    The best is so on validation, and is the one that the gate judges; its macro-F1 is that on test. Failed runs are
    listed too, with the reason. The id's first characters are enough for the other commands.

    \b
    ferpipe runs --last 5
    ferpipe compare 1f2e3d4c
    """
    from rich.console import Console

    from ferkit.tracking.store import connect
    from pipeline.runs import last_runs, print_runs

    found = last_runs(connect(tracking_uri), last)
    if as_json:
        click.echo(json.dumps([asdict(run) for run in found], indent=2))
    elif not found:
        click.echo("there are no pipeline runs in this MLflow yet; start one with `ferpipe run`")
    else:
        print_runs(found, Console(width=None if sys.stdout.isatty() else 160))
