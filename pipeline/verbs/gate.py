"""`ferpipe gate`: a registered version is scored against today's champion."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.verbs.notices import without_notices
from pipeline.verbs.options import json_option, model_option, policy_option, store_option


@click.command()
@click.argument("version")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data set folder (the output of ingest or balance). Default: the one that VERSION was registered with.",
)
@policy_option
@model_option
@store_option
@json_option
def gate(
    version: str, data: Path | None, assignments: tuple[str, ...], model: str, tracking_uri: str, as_json: bool
) -> None:
    """Score VERSION and today's champion on the same test rows, and decide whether VERSION may become champion.

    VERSION is a number, an alias, the id of the run that it came from, or of a pipeline run, for its best candidate.
    The verdict replaces the one that VERSION had. Approved, it becomes the challenger, for `ferpipe promote`. Ends with
    status 0 whatever the verdict is.

    \b
    ferpipe gate 7
    ferpipe gate 3f2a91c0                                a run that was registered, or a pipeline run's best
    ferpipe gate 7 --data faces --set register.comparison=superiority
    """
    from components.register.verdicts import gate_version
    from ferkit.tracking.store import connect
    from pipeline.candidates import named_version
    from pipeline.layers import read_policy
    from pipeline.summary import named_model

    client = connect(tracking_uri)
    chosen = named_version(client, version, model)
    policy = read_policy(assignments)
    with without_notices():
        verdict = gate_version(client, chosen.number, data, policy, chosen.model)
    if as_json:
        click.echo(json.dumps(verdict.to_dict(), indent=2))
        return
    for note in verdict.notes:
        click.echo(f"note: {note}")
    click.echo(str(verdict))
    if verdict.approved:
        click.echo(f"next: ferpipe promote {verdict.challenger.version}{named_model(client, verdict.model)}")
