"""The entry points `main` and `search`: the whole pipeline, as `ferpipe run` and `ferpipe search` start it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlflow
from rich.console import Console

from ferkit.errors import UserError
from mlflow_project.entry_points import ENTRY_POINTS
from mlflow_project.project_run import ProjectRun, is_ours
from pipeline.layers import SAMPLE_CONFIG, SEARCH_CONFIG, read_parameters
from pipeline.local import Home, run_here
from pipeline.summary import print_summary, summary


def main_entry(client: mlflow.MlflowClient, arguments: Mapping[str, str], tracking_uri: str, opened: str) -> None:
    """The whole pipeline; any parameter may be set by its dotted name (-P train.epochs=3)."""
    assignments = [f"{name}={value}" for name, value in arguments.items() if name not in ENTRY_POINTS["main"].own]
    _run(client, arguments, assignments, tracking_uri, opened)


def search_entry(client: mlflow.MlflowClient, arguments: Mapping[str, str], tracking_uri: str, opened: str) -> None:
    """A search; its parameters by their names, any other by its dotted one."""
    own = ENTRY_POINTS["search"]
    section = own.section.names() if own.section else ()
    assignments = [
        f"{f'search.{name}' if name in section else name}={value}"
        for name, value in arguments.items()
        if name not in own.own
    ]
    _run(client, arguments, assignments, tracking_uri, opened, searching=True)


def _run(
    client: mlflow.MlflowClient,
    arguments: Mapping[str, str],
    assignments: Sequence[str],
    tracking_uri: str,
    opened: str,
    searching: bool = False,
) -> None:
    config = arguments.get("config")
    usual = SEARCH_CONFIG if searching else SAMPLE_CONFIG
    parameters = read_parameters(arguments.get("csv"), Path(config) if config else None, assignments, usual)
    if searching and not parameters.search.is_on:
        raise UserError("search: nothing is to be searched; set space, or a config such as configs/search-fer2013.yaml")
    console = Console(width=None if sys.stdout.isatty() else 120)
    home = Home(Path(os.environ.get("FERPIPE_HOME", ".ferpipe")))
    adopted = opened if is_ours(client, opened) else ""
    outcome = run_here(parameters, tracking_uri=tracking_uri, home=home, console=console, parent_run_id=adopted)
    if outcome.parent is not None:
        ProjectRun(client, tracking_uri, opened, adopted).stands_for(outcome.parent.info.run_id)
    if outcome.failure:
        raise UserError(outcome.failure)
    assert outcome.parent is not None
    print_summary(summary(tracking_uri, outcome.parent.info.run_id), console)
