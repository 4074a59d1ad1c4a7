"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ferkit.user_input import shown

DEFAULT_STORE = "mlflow.db"

_F = TypeVar("_F", bound="Callable[..., Any] | click.Command")


def _tracking_address(_: click.Context, __: click.Parameter, value: str | None) -> str:
    """The MLflow address in full: a relative SQLite path would mean another file in every process."""
    from ferkit.addresses import split_address, without_secrets
    from ferkit.errors import UserError

    if not value:
        return f"sqlite:///{Path(DEFAULT_STORE).absolute()}"
    if value.startswith("sqlite:///"):
        path, question, settings = value.removeprefix("sqlite:///").partition("?")
        if not path:
            raise click.BadParameter("names no file; write sqlite:///mlflow.db, or sqlite:////a/whole/path/mlflow.db")
        return f"sqlite:///{Path(path).absolute()}{question}{settings}"
    if value.lower().startswith(("http://", "https://")):
        try:
            parts = split_address(value)
        except UserError as error:
            raise click.BadParameter(str(error)) from None
        if parts.password or parts.username:
            raise click.BadParameter(
                "an address with a password in it would end up in logs; "
                "write it without, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return value
    if "://" in value:  # what follows may hold a password
        seen, hint = f"{value.partition('://')[0]}://…", "; for a database, that of the MLflow server in front of it"
    else:
        seen, hint = without_secrets(value), ""
    raise click.BadParameter(f"{shown(seen)[:80]} is no address; write http(s)://host or sqlite:///file{hint}")


def _address_of_a_store(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """As `_tracking_address`; a SQLite store that was named, rather than left to the default, is there."""
    address = _tracking_address(context, parameter, value)
    if value:
        from ferkit.tracking.store import sqlite_path

        path = sqlite_path(address)
        if path is not None and not path.exists():
            raise click.BadParameter(f"{shown(path)}: no such file; the first run makes it")
    return address


def _tracking_option(callback: Callable[[click.Context, click.Parameter, str | None], str]) -> Callable[[_F], _F]:
    return click.option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        callback=callback,
        metavar="ADDRESS",
        help="The MLflow to use: http(s)://host or sqlite:///file. Default: MLFLOW_TRACKING_URI, else ./mlflow.db.",
    )


tracking_option = _tracking_option(_tracking_address)

store_option = _tracking_option(_address_of_a_store)
"""Of verbs that are about what is in MLflow already: they make no store where an address was mistyped."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for programs.")

home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="FERPIPE_HOME",
    default=Path(".ferpipe"),
    show_default=True,
    help="Folder for files of local runs: artifacts, cache, training state, logs.",
)

note_option = click.option(
    "--note", default="", metavar="TEXT", help="Note at the beginning of the run's description in MLflow."
)

tag_option = click.option(
    "--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Tag of the run and its candidates; may be repeated."
)

policy_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="One parameter of the gate's policy; see `ferpipe run -h`.",
)

model_option = click.option(
    "--model", default="", metavar="NAME", help="The registered model. Default: the only one that `ferpipe` made."
)
