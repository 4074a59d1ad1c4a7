"""`ferpipe repair`: restores aliases and tags from the record of promotions."""

from __future__ import annotations

import json

import click

from pipeline.verbs.options import json_option, model_option, store_option


@click.command()
@model_option
@store_option
@json_option
def repair(model: str, tracking_uri: str, as_json: bool) -> None:
    """Restore the aliases and tags of the registered model from the record of promotions.

    They differ from it where a promotion was killed half-way, or where somebody moved an alias by hand. `ferpipe
    promote`, `rollback`, `gate` and the `register` of a run do the same first; `history` only reports it.
    """
    from ferkit.registry.rights import check_may_promote
    from ferkit.registry.state import reconcile
    from ferkit.registry.versions import choose_model
    from ferkit.tracking.store import connect

    client = connect(tracking_uri)
    model = choose_model(client, model)
    check_may_promote(client, model)
    state = reconcile(client, model)
    if as_json:
        told = {"champion": state.champion, "challenger": state.challenger, "repaired": state.notes}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo("\n".join(state.notes) or "nothing to repair: aliases and tags are where the record says")
