"""`ferpipe promote`: an approved version becomes the champion."""

from __future__ import annotations

import json

import click

from pipeline.verbs.options import json_option, model_option, store_option


@click.command()
@click.argument("version", required=False, default="")
@click.option("--force", is_flag=True, help="Overrule the gate; needs --reason.")
@click.option("--reason", default="", metavar="WHY", help="Reason, for the record of promotions.")
@click.option("--dry-run", is_flag=True, help="Print what would happen; promote nothing.")
@model_option
@store_option
@json_option
def promote(
    version: str, force: bool, reason: str, dry_run: bool, model: str, tracking_uri: str, as_json: bool
) -> None:
    """Make VERSION the champion: the one that `models:/NAME@champion` loads. Default: the challenger.

    A version is refused unless the gate approved it against the current champion; `ferpipe gate VERSION` scores it
    again. Of several promotions at once one succeeds, and the others fail with a message. Promoting the champion again
    does nothing. Who promoted (FERPIPE_USER, else the user's name), when, and from which run is stored in the version's
    tags and in the record that `ferpipe history` prints.

    \b
    ferpipe promote                                      the challenger
    ferpipe promote 7 --dry-run
    ferpipe promote 7 --force --reason "champion 6 is broken on the new camera"
    """
    from ferkit.registry.promotion import promote as promote_version
    from ferkit.registry.versions import choose_model
    from ferkit.tracking.store import connect

    if force and not reason:
        raise click.UsageError("--force needs --reason WHY; it is kept in the record of promotions")
    client = connect(tracking_uri)
    model = choose_model(client, model)
    outcome = promote_version(client, version, model=model, force=force, reason=reason, dry_run=dry_run)
    click.echo(json.dumps(outcome.to_dict(), indent=2) if as_json else outcome.sentence)
