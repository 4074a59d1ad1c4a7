"""`ferpipe rollback`: the previous champion becomes the champion again."""

from __future__ import annotations

import json

import click

from pipeline.verbs.options import json_option, model_option, store_option


@click.command()
@click.option("--reason", default="", metavar="WHY", help="Reason, for the record of promotions.")
@click.option("--dry-run", is_flag=True, help="Print what would happen; roll nothing back.")
@model_option
@store_option
@json_option
def rollback(reason: str, dry_run: bool, model: str, tracking_uri: str, as_json: bool) -> None:
    """Make the previous champion the champion again. Done twice, the one before that.

    No model is loaded and nothing is scored. Versions deleted from the registry since are
    skipped. It is recorded like a promotion; of two at once one succeeds, and the other fails with a message.
    """
    from ferkit.registry.promotion import roll_back
    from ferkit.registry.versions import choose_model
    from ferkit.tracking.store import connect

    client = connect(tracking_uri)
    outcome = roll_back(client, model=choose_model(client, model), reason=reason, dry_run=dry_run)
    click.echo(json.dumps(outcome.to_dict(), indent=2) if as_json else outcome.sentence)
