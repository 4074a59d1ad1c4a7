"""`ferpipe webhook`: the MLflow server notifies a service of a new champion."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from pipeline.verbs.options import json_option, tracking_option

SECRET_VARIABLE = "FERPIPE_WEBHOOK_SECRET"
ADDRESS_VARIABLE = "FERPIPE_WEBHOOK_ADDRESS"


@click.group()
def webhook() -> None:
    """Have the MLflow server notify a service when a version becomes champion, whoever promoted it.

    The server posts {"entity": "model_version_alias", "action": "created", "timestamp": …, "data": {"name", "alias",
    "version"}} whenever ANY alias is set: check that `name` is your model and `alias` is `champion`. How the
    signature is checked, and what the server needs: docs/registry.md. (The end of a pipeline run is reported by
    FERPIPE_WEBHOOK, which needs no server: docs/kubeflow.md.)

    \b
    ferpipe webhook add deploy https://ci.example/hooks/champion --secret-file secret.txt
    ferpipe webhook test deploy
    ferpipe webhook list
    ferpipe webhook remove deploy
    """


@webhook.command("add")
@click.argument("name")
@click.argument("address", required=False, default="")
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the secret that signs what is posted. Default: {SECRET_VARIABLE}.",
)
@click.option("--unsigned", is_flag=True, help="Post without a signature: the receiver cannot tell who posts.")
@tracking_option
@json_option
def add(name: str, address: str, secret_file: Path | None, unsigned: bool, tracking_uri: str, as_json: bool) -> None:
    """Have the server post to ADDRESS (https://…) from now on, under NAME.

    An ADDRESS that holds a secret (a password or a key) comes from the environment instead, as
    FERPIPE_WEBHOOK_ADDRESS: other users of this machine can read a command line. The server begins within a minute.
    """
    from ferkit.addresses import without_secrets
    from ferkit.registry.webhooks import add_webhook
    from ferkit.tracking.store import connect
    from ferkit.user_input import read_text

    if without_secrets(address) != address:
        raise click.UsageError(
            "an address with a password or a key is visible to other users of this machine; set it as "
            f"{ADDRESS_VARIABLE}"
        )
    address = address or os.environ.get(ADDRESS_VARIABLE, "")
    if not address:
        raise click.UsageError(f"pass the ADDRESS to post to, or {ADDRESS_VARIABLE}")
    secret = read_text(secret_file).strip() if secret_file else os.environ.get(SECRET_VARIABLE, "")
    if bool(secret) == unsigned:
        raise click.UsageError(
            f"a secret and --unsigned exclude each other; leave out --unsigned, or unset {SECRET_VARIABLE}"
            if secret
            else f"pass the secret that signs what is posted in --secret-file or {SECRET_VARIABLE}, or say --unsigned"
        )
    added = add_webhook(connect(tracking_uri), name, address, secret)
    sentence = (
        f"webhook {added.name}: {added.address} is notified within a minute from now; try `ferpipe webhook test {name}`"
    )
    click.echo(json.dumps(added.to_dict(), indent=2) if as_json else sentence)


@webhook.command("test")
@click.argument("name")
@tracking_option
@json_option
def test(name: str, tracking_uri: str, as_json: bool) -> None:
    """Have the server post an example to NAME; status 1 when it was not accepted."""
    from ferkit.registry.webhooks import try_webhook
    from ferkit.tracking.store import connect

    status = try_webhook(connect(tracking_uri), name)
    sentence = f"webhook {name}: an example was delivered, and answered with {status}"
    click.echo(json.dumps({"name": name, "status": status}, indent=2) if as_json else sentence)


@webhook.command("list")
@tracking_option
@json_option
def list_all(tracking_uri: str, as_json: bool) -> None:
    """Print the webhooks for a champion's change. Secrets, and keys in addresses, are not shown."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ferkit.registry.webhooks import list_webhooks
    from ferkit.tracking.store import connect

    found = list_webhooks(connect(tracking_uri))
    if as_json:
        click.echo(json.dumps([one.to_dict() for one in found], indent=2))
        return
    if not found:
        click.echo("there is no webhook for a champion's change yet; see `ferpipe webhook add --help`")
        return
    table = Table("name", "address", "state", box=None, pad_edge=False, header_style="bold")
    for one in found:
        table.add_row(escape(one.name), escape(one.address), one.state)
    Console(soft_wrap=True).print(table)


@webhook.command("remove")
@click.argument("name")
@tracking_option
@json_option
def remove(name: str, tracking_uri: str, as_json: bool) -> None:
    """Stop posting to NAME; within a minute."""
    from ferkit.registry.webhooks import remove_webhook
    from ferkit.tracking.store import connect

    removed = remove_webhook(connect(tracking_uri), name)
    sentence = f"webhook {name}: {removed.address} is notified no more"
    click.echo(json.dumps(removed.to_dict(), indent=2) if as_json else sentence)
