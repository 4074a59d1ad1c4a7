"""`python -m mlflow_project ENTRY --name value …`: what MLproject's commands start.

Inside `mlflow run`, MLflow has opened a run and named it in `MLFLOW_RUN_ID`. `connect` takes the variable out of the
environment, or child processes would adopt and finish the run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import mlflow

from ferkit.errors import UserError, in_one_line, nearest
from ferkit.tracking.failure import say_failed
from ferkit.tracking.store import connect
from ferkit.user_input import shown
from mlflow_project.entry_points import ENTRY_POINTS, REQUIRED
from mlflow_project.project_run import VARIABLE, project_run
from mlflow_project.steps import STEPS, name_of_step


def read_arguments(entry: str, arguments: Sequence[str]) -> dict[str, str]:
    """`--name value` pairs as a dict; an empty value is not set. Names that the entry point does not declare pass.

    Raises:
        UserError: a required one is missing.
    """
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    settings = {name.removeprefix("--"): value for name, value in pairs if value != ""}
    for name, default in ENTRY_POINTS[entry].parameters().items():
        if default is REQUIRED and name not in settings:
            raise UserError(f"{entry}: set {name} (-P {name}=…)")
    return settings


def start(client: mlflow.MlflowClient, entry: str, arguments: Sequence[str], tracking_uri: str, opened: str) -> None:
    """Runs an entry point.

    Raises:
        UserError: bad input.
    """
    settings = read_arguments(entry, arguments)
    if entry in STEPS:
        with project_run(client, tracking_uri, opened, name_of_step(entry, settings)) as project:
            STEPS[entry].work(settings, project)
        return
    from mlflow_project.whole_runs import main_entry, search_entry

    {"main": main_entry, "search": search_entry}[entry](client, settings, tracking_uri, opened)


def main(arguments: Sequence[str]) -> int:
    """Runs an entry point; bad input is one sentence on stderr, and on the run, and status 1."""
    opened, tracking_uri = os.environ.get(VARIABLE, ""), mlflow.get_tracking_uri()
    try:
        if not arguments or arguments[0] not in ENTRY_POINTS:
            name = arguments[0] if arguments else ""
            raise UserError(f"{name!r}: no such entry point; {nearest(name, ENTRY_POINTS)}")
        client = connect(tracking_uri)
        try:
            start(client, arguments[0], arguments[1:], tracking_uri, opened)
        except Exception as error:
            if opened:
                with suppress(mlflow.MlflowException):  # out of reach, perhaps: the error at hand says more
                    say_failed(client, opened, shown(in_one_line(error)))
            raise
    except UserError as error:
        print(f"Error: {shown(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
