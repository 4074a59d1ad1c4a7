"""`ferpipe rollback`: the previous champion becomes the champion again."""

from __future__ import annotations

import json

import click

from pipeline.verbs.options import json_option, model_option, tracking_option


@click.command()
@click.option("--reason", default="", metavar="WHY", help="Kept in the record of promotions.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; roll nothing back.")
@model_option
@tracking_option
@json_option
def rollback(reason: str, dry_run: bool, model: str, tracking_uri: str, as_json: bool) -> None:
    """Make the previous champion the champion again. Done twice, the one before that.

    No model is loaded and nothing is scored. Versions deleted from the registry since are
    passed over. Recorded like a promotion; of two at once one wins, and the other is told.
    """
    from ferkit.registry.promotion import roll_back
    from ferkit.registry.versions import choose_model
    from ferkit.tracking.store import connect

    client = connect(tracking_uri)
    outcome = roll_back(client, model=choose_model(client, model), reason=reason, dry_run=dry_run)
    click.echo(json.dumps(outcome.to_dict(), indent=2) if as_json else outcome.sentence)
