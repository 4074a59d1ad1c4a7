"""The `ferpipe` command: run the pipeline, look at the results, promote a model."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys

import click

from components import __version__
from ferkit.disk import is_full, no_room
from ferkit.errors import UserError
from ferkit.store_errors import explain, is_of_a_store
from ferkit.tracking.patience import OF_A_PERSON
from ferkit.user_input import shown

VERBS = {
    "run": "run the whole pipeline on this machine",
    "search": "run it with a search in place of candidates: grid, random or TPE",
    "compile": "write the pipeline as a file for Kubeflow",
    "submit": "run it on a Kubeflow cluster, now or on a schedule",
    "runs": "list the last pipeline runs",
    "show": "one run in detail: data, parameters, metrics, verdict, report",
    "report": "print the path of a run's report, or open it",
    "compare": "compare candidates in a table, with intervals",
    "ensemble": "join existing models into one",
    "gate": "score a registered version against today's champion",
    "promote": "make an approved version the champion",
    "rollback": "make the previous champion the champion again",
    "history": "list all promotions and rollbacks",
    "repair": "restore aliases from the record of promotions",
    "webhook": "have the MLflow server notify a service of a new champion",
    "predict": "predict the emotions of faces in images or a CSV",
    "export": "write a model as one file for ONNX Runtime or LiteRT",
    "sample": "draw a synthetic data set in FER2013's form",
    "ui": "open the MLflow UI on this machine's runs",
    "clean": "remove files of local runs that are no longer needed",
    "doctor": "check this machine, and print how to install what is missing",
}


LONG = {"run", "search", "ensemble"}
"""Verbs that work for long."""


class Verbs(click.Group):
    """The verbs, each in a module of its own, imported when it is called: `--help` needs neither kfp nor TensorFlow."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        return getattr(importlib.import_module(f"pipeline.verbs.{cmd_name}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise click.ClickException(shown(error)) from None
        except Exception as error:
            # An MLflow, or a store of its files, that does not answer, or refuses.
            if is_of_a_store(error):
                from mlflow import get_tracking_uri

                raise click.ClickException(explain(error, get_tracking_uri())) from None
            if not isinstance(error, OSError):
                raise
            if is_full(error):
                raise click.ClickException(shown(no_room(error))) from None
            # A disk that is full, a folder that may not be written to: wherever a verb has no sentence of its own.
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            raise click.ClickException(f"{shown(error.filename)}: {error.strerror}") from None


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ferpipe")
def cli() -> None:
    """Facial-expression experiments with Kubeflow and MLflow: from a CSV of faces to a promoted model.

    Every command takes --help. By default runs are logged to MLFLOW_TRACKING_URI, else to ./mlflow.db.
    """


def main() -> None:
    """Entry point of the console script."""
    # TensorFlow's and MLflow's own chatter is for their developers; what a person acts on, we say.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if not {*sys.argv[1:2]} & LONG:
        for name, value in OF_A_PERSON.items():
            os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):  # a name that is not UTF-8, a terminal that is not: escaped, no traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
