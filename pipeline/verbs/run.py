"""`ferpipe run`: the whole pipeline on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape

from ferkit.errors import UserError
from ferkit.user_input import shown
from pipeline.verbs.options import home_option, json_option, note_option, tag_option, tracking_option


def parameter_help() -> str:
    """Every parameter with type, default and help, for the end of `--help`."""
    from pipeline.parameters import describe, describe_candidates

    lines = ["\b", "Parameters, for --set and config files:"]
    for name, field in describe():
        lines += _help_of(name, field)
    shown = ""
    for architecture, name, field in describe_candidates():
        if architecture != shown:
            shown = architecture
            lines += ["", f"In a candidate {{architecture: {architecture}, ...}}, beside those of train:"]
        lines += _help_of(name, field)
    return "\n".join(lines)


def _help_of(name: str, field: FieldInfo) -> list[str]:
    default = field.get_default(call_default_factory=True)
    shown = "from the recipe" if default is None else json.dumps(default)
    return [f"  {name} = {shown}", f"      {field.description}"]


class WithParameters(click.Command):
    """A command whose help ends with the pipeline's parameters."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        for line in parameter_help().splitlines()[1:]:
            formatter.write(f"{line}\n")


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `run` and `search`."""
    options = (
        click.option(
            "--csv", metavar="CSV", help="The faces: path, s3://, gs:// or http(s)://, or `sample` (the default)."
        ),
        click.option(
            "--config",
            type=click.Path(dir_okay=False, path_type=Path),
            help="YAML with any of the parameters below: a file, or runs:/RUN_ID/search/best.yaml. Default for the "
            "sample: configs/sample.yaml, for its search configs/search.yaml.",
        ),
        click.option(
            "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Value of one parameter; may be repeated."
        ),
        click.option(
            "--resume",
            metavar="RUN_ID",
            help="Resume this parent run, with its parameters and state. With --csv where that holds a key.",
        ),
        click.option("--name", default="", help="Name of the run in MLflow. Default: time and data."),
        note_option,
        tag_option,
        click.option("--explain", is_flag=True, help="Print where each value comes from, and run nothing."),
        click.option("--no-cache", is_flag=True, help="Run ingest and balance even if their inputs have not changed."),
        tracking_option,
        home_option,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=WithParameters)
@run_options
def run(**options: Any) -> None:
    """Run the whole pipeline here, now: no Docker, no cluster.

    Prints one line per step, then the candidates, the gate's verdict, the registered versions and the MLflow address.
    The output of the steps is written to a log file, whose path is shown first. Ends with status 1 and one sentence if
    a step fails.

    \b
    ferpipe run                                      the drawn sample
    ferpipe run --csv fer2013.csv.gz --config configs/quick.yaml
    ferpipe run --name "mixup, first try" --note "With **mixup**, against last week's best." --tag ticket=FER-12
    ferpipe run --set train.epochs=3 --set 'candidates=[{architecture: lenet, seed: 1}]'
    """
    start(**options)


def start(
    csv: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    resume: str | None,
    name: str,
    note: str,
    tags: tuple[str, ...],
    explain: bool,
    no_cache: bool,
    tracking_uri: str,
    home: Path,
    as_json: bool,
    searching: bool = False,
) -> None:
    """What `run` and `search` do: the second refuses parameters without a search."""
    from ferkit.tracking.labels import Labels
    from ferkit.tracking.short_ids import whole_id
    from ferkit.tracking.store import connect
    from pipeline.layers import OF_A_RUN, SAMPLE_CONFIG, SEARCH_CONFIG, read_parameters
    from pipeline.local import Home, run_here
    from pipeline.resume import parameters_of
    from pipeline.summary import print_summary, summary

    usual = SEARCH_CONFIG if searching else SAMPLE_CONFIG
    if config and str(config).startswith(OF_A_RUN):
        connect(tracking_uri)
    if resume and explain:
        raise click.UsageError("--explain is for a new run; a resumed one has its own parameters")
    if resume and (config or assignments):
        raise click.UsageError("--resume uses the run's own parameters; drop --config and --set")
    if resume and (name or note or tags):
        raise click.UsageError("--resume leaves a run as it is; drop --name, --note and --tag")
    labels = Labels.parse(name, note, tags)
    if explain:
        print_explained(csv, config, assignments, as_json, usual)
        return
    if resume:
        resume = whole_id(connect(tracking_uri), resume)
        parameters = parameters_of(tracking_uri, resume, csv)
    else:
        parameters = read_parameters(csv, config, assignments, usual)
    if searching and not parameters.search.is_on:
        raise UserError(
            "search.space is empty: say what to search in a config, as configs/search-fer2013.yaml does, or by --set "
            "'search.space={architecture: lenet, learning_rate: {low: 0.0003, high: 0.01, log: true}}'"
        )
    out = sys.stderr if as_json else sys.stdout
    console = Console(file=out, width=None if out.isatty() else 120)
    outcome = run_here(
        parameters,
        tracking_uri=tracking_uri,
        home=Home(home),
        console=console,
        parent_run_id=resume or "",
        use_cache=not no_cache,
        labels=labels,
    )
    if outcome.failure:
        console.print(f"[dim]everything the steps printed: {escape(str(outcome.log))}[/]", soft_wrap=True)
        raise UserError(outcome.failure)
    assert outcome.parent is not None
    found = summary(tracking_uri, outcome.parent.info.run_id)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        print_summary(found, console)


def print_explained(
    csv: str | None, config: Path | None, assignments: tuple[str, ...], as_json: bool, usual: Path
) -> None:
    """Every parameter and every candidate's settings, with the source of each value."""
    from pipeline.layers import explain, layers_of

    explained = list(explain(layers_of(csv, config, assignments, usual)))
    if as_json:
        click.echo(json.dumps([one._asdict() for one in explained], indent=2))
        return
    name_width = max(len(one.name) for one in explained)
    for one in explained:
        click.echo(f"{one.name:<{name_width}}  {shown(json.dumps(one.value)):<24}  {shown(one.source)}")
