"""`ferpipe ensemble`: existing models joined into one."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.verbs.options import home_option, json_option, model_option, policy_option, store_option


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="RUN_OR_VERSION...")
@click.option(
    "--weights",
    type=click.Choice(["equal", "fitted"]),
    default="equal",
    show_default=True,
    help="Weights of the models' probabilities; fitted: on validation.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data set folder (the output of balance). Default: the one that the models were registered with.",
)
@policy_option
@model_option
@store_option
@home_option
@json_option
def ensemble(
    models: tuple[str, ...],
    weights: str,
    data: Path | None,
    assignments: tuple[str, ...],
    model: str,
    tracking_uri: str,
    home: Path,
    as_json: bool,
) -> None:
    """Join existing models into one, and decide whether it may become champion.

    RUN_OR_VERSION are two or more ids of candidates (their first 7 characters will do) or versions (`7`, `champion`); a
    pipeline run's id stands for its candidates. They may come from different pipeline runs on the same data. The
    ensemble gets a run of its own, is evaluated, registered and gated as in `ferpipe run`. Ends with status 0 whatever
    the verdict is.

    \b
    ferpipe ensemble 3 7 9
    ferpipe ensemble champion 1f2e3d4 --weights fitted
    """
    from components.ensemble.parameters import Ensemble
    from ferkit.tracking.store import connect
    from pipeline.ensemble import join_models
    from pipeline.layers import read_policy
    from pipeline.local import Home
    from pipeline.summary import named_model

    policy = read_policy(assignments)
    running = Home(home).running
    running.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    client = connect(tracking_uri)
    parameters = Ensemble.parse({"weights": weights})
    verdict = join_models(client, models, parameters, policy, data, running, say, model)
    if as_json:
        click.echo(json.dumps(verdict.to_dict(), indent=2))
        return
    for note in verdict.notes:
        click.echo(f"note: {note}")
    click.echo(str(verdict))
    if verdict.approved:
        click.echo(f"next: ferpipe promote {verdict.challenger.version}{named_model(client, verdict.model)}")
