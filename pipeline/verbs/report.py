"""`ferpipe report`: the path of a pipeline run's report."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.verbs.options import home_option, json_option, model_option, store_option


@click.command()
@click.argument("run")
@click.option("--open", "in_browser", is_flag=True, help="Open it in the browser, too.")
@home_option
@model_option
@store_option
@json_option
def report(run: str, in_browser: bool, home: Path, model: str, tracking_uri: str, as_json: bool) -> None:
    """Print the path of a pipeline run's report, one HTML file that needs no server.

    RUN is the id of a pipeline run or of one of its candidates (its first 7 characters will do), or a version (`7`,
    `champion`). From an MLflow server, the report is copied to the folder `reports` of --home first.

    \b
    ferpipe report 1f2e3d4c --open
    """
    from ferkit.tracking.store import connect
    from pipeline.candidates import find_named_run
    from pipeline.run_report import fetch_report

    client = connect(tracking_uri)
    path = fetch_report(client, find_named_run(client, run, model), home / "reports").absolute()
    click.echo(json.dumps({"report": str(path)}) if as_json else str(path))
    if in_browser and click.launch(str(path)):
        click.echo("no browser could be opened; open that path in one", err=True)
