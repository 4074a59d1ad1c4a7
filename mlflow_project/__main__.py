"""`python -m mlflow_project ENTRY --name value …`: what MLproject's commands start.

Inside `mlflow run`, MLflow has opened a run and named it in `MLFLOW_RUN_ID`: that run becomes the parent. `connect`
takes the variable out of the environment, or child processes would adopt and finish the run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import mlflow

from ferkit.code_version import weights_version
from ferkit.errors import UserError, nearest
from ferkit.step import step_context
from ferkit.tracking import names, tree
from ferkit.tracking.names import State
from ferkit.tracking.store import connect
from ferkit.user_input import read_yaml, shown
from mlflow_project.entry_points import ENTRY_POINTS, REQUIRED


def read_arguments(entry: str, arguments: Sequence[str]) -> dict[str, Any]:
    """`--name value` pairs as a dict; what is empty was not given. Names that the entry point does not declare pass.

    Raises:
        UserError: a required one is missing.
    """
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    given = {name.removeprefix("--"): value for name, value in pairs if value != ""}
    for name, default in ENTRY_POINTS[entry].parameters().items():
        if default is REQUIRED and name not in given:
            raise UserError(f"{entry}: give {name} (-P {name}=…)")
    return given


def section_of(entry: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The step's parameters, read as YAML; whatever else was given is among them, for the step to check."""
    own = ENTRY_POINTS[entry].own
    return {name: read_yaml(value, name) for name, value in given.items() if name not in own}


def main_entry(given: Mapping[str, Any], tracking_uri: str, parent_run_id: str) -> None:
    """The whole pipeline, as `ferpipe run`; any parameter may be given by its dotted name (-P train.epochs=3)."""
    assignments = [f"{name}={value}" for name, value in given.items() if name not in ENTRY_POINTS["main"].own]
    _run(given, assignments, tracking_uri, parent_run_id)


def search_entry(given: Mapping[str, Any], tracking_uri: str, parent_run_id: str) -> None:
    """As `ferpipe search`; parameters of the search by their names, any other by its dotted one."""
    own = ENTRY_POINTS["search"]
    section = own.section.names() if own.section else ()
    assignments = [
        f"{f'search.{name}' if name in section else name}={value}"
        for name, value in given.items()
        if name not in own.own
    ]
    _run(given, assignments, tracking_uri, parent_run_id, searching=True)


def _run(
    given: Mapping[str, Any],
    assignments: Sequence[str],
    tracking_uri: str,
    parent_run_id: str,
    searching: bool = False,
) -> None:
    from rich.console import Console

    from pipeline.layers import SAMPLE_CONFIG, SEARCH_CONFIG, read_parameters
    from pipeline.local import Home, run_here
    from pipeline.summary import print_summary, summary

    config = given.get("config")
    connect(tracking_uri)  # a config may be a run's
    usual = SEARCH_CONFIG if searching else SAMPLE_CONFIG
    parameters = read_parameters(given.get("csv"), Path(config) if config else None, assignments, usual)
    if searching and not parameters.search.is_on:
        raise UserError(
            "search: nothing is to be searched; give space, or a config such as configs/search-fer2013.yaml"
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    home = Home(Path(os.environ.get("FERPIPE_HOME", ".ferpipe")))
    outcome = run_here(parameters, tracking_uri=tracking_uri, home=home, console=console, parent_run_id=parent_run_id)
    if outcome.failure:
        raise UserError(outcome.failure)
    assert outcome.parent is not None
    print_summary(summary(tracking_uri, outcome.parent.info.run_id), console)


def ingest_entry(given: Mapping[str, Any], tracking_uri: str, parent_run_id: str) -> None:
    """A CSV into a data set folder; its profile is logged to the run."""
    from components.ingest.ingest import ingest_csv
    from components.ingest.parameters import Ingest

    folder = Path(given["output"])
    ingest_csv(given["csv"], folder, Ingest.parse(section_of("ingest", given)))
    _log_profile(folder, tracking_uri, parent_run_id)


def balance_entry(given: Mapping[str, Any], tracking_uri: str, parent_run_id: str) -> None:
    """A data set folder into a balanced one; its profile is logged to the run."""
    from components.balance.balance_classes import balance_classes
    from components.balance.parameters import Balance

    folder = Path(given["output"])
    balance_classes(Path(given["data"]), folder, Balance.parse(section_of("balance", given)))
    _log_profile(folder, tracking_uri, parent_run_id)


def train_entry(given: Mapping[str, Any], tracking_uri: str, parent_run_id: str) -> None:
    """One candidate, in a run of its own under the one of `mlflow run`. Prints that run's id."""
    from components.open_run.resolve import resolve_candidates
    from components.train.train import train_candidate
    from ferkit.data import read_profile
    from ferkit.tracking.candidates import open_candidates, state_of

    client = connect(tracking_uri)
    digest = read_profile(given["data"]).digest
    candidate = {"architecture": given["architecture"], **section_of("train", given)}
    candidates = resolve_candidates([candidate], {}, (digest, weights_version()))
    if parent_run_id:
        parent = client.get_run(parent_run_id)
    else:
        experiment_id = tree.experiment_id(client, names.EXPERIMENT)
        parent = client.create_run(experiment_id, run_name="train", tags={names.RUN_KIND: "pipeline"})
    [run_id] = open_candidates(client, parent, candidates)
    with step_context("train") as log:
        train_candidate(client, run_id, Path(given["data"]), given.get("state_dir", ""), log)
    run = client.get_run(run_id)
    failed = state_of(run) == State.FAILED
    if not parent_run_id:
        tree.close(client, parent.info.run_id, "FAILED" if failed else "FINISHED")
    if failed:
        raise UserError(run.data.tags[names.FAILURE])
    click.echo(f"run {run_id}")


def evaluate_entry(given: Mapping[str, Any], tracking_uri: str, parent_run_id: str) -> None:
    """A candidate's model on validation and test; figures and plots go to the candidate's run."""
    from components.evaluate.evaluate import evaluate_candidate
    from components.evaluate.outputs import describe
    from components.evaluate.parameters import Evaluate

    client, run_id = connect(tracking_uri), given["run_id"]
    with step_context("evaluate") as log:
        parameters = Evaluate.parse(section_of("evaluate", given))
        evaluation = evaluate_candidate(client, run_id, Path(given["data"]), parameters, log)
    if evaluation is None:
        raise UserError(client.get_run(run_id).data.tags.get(names.FAILURE, f"run {run_id} failed in training"))
    click.echo(describe(evaluation))
    click.echo(f"run {run_id}")


def ensemble_entry(given: Mapping[str, Any], tracking_uri: str, parent_run_id: str) -> None:
    """Evaluated candidates as one model, in a run of its own, whose id it prints; `run_ids` is a list with commas.

    `-e evaluate` and `-e register` take it from there, as with any candidate.
    """
    from components.ensemble.ensemble import join_finalists
    from components.ensemble.parameters import Ensemble
    from ferkit.tracking.candidates import state_of

    client = connect(tracking_uri)
    run_ids = [run_id.strip() for run_id in given["run_ids"].split(",")]
    parameters = Ensemble.parse(section_of("ensemble", given))
    if parent_run_id:
        parent = client.get_run(parent_run_id)
    else:
        experiment_id = client.get_run(run_ids[0]).info.experiment_id
        parent = client.create_run(experiment_id, run_name="ensemble", tags={names.RUN_KIND: "pipeline"})
    with step_context("ensemble") as log:
        run_id = join_finalists(client, parent, run_ids, Path(given["data"]), parameters, log)
    failure = ""
    if not run_id:
        failure = "ensemble: nothing was joined; give two or more evaluated candidates, and weights other than none"
    elif state_of(client.get_run(run_id)) == State.FAILED:
        failure = client.get_run(run_id).data.tags[names.FAILURE]
    if not parent_run_id:
        tree.close(client, parent.info.run_id, "FAILED" if failure else "FINISHED", failure)
    if failure:
        raise UserError(failure)
    click.echo(f"run {run_id}")


def register_entry(given: Mapping[str, Any], tracking_uri: str, parent_run_id: str) -> None:
    """Candidates into the registry, the best of them before the gate; `run_ids` is a list with commas."""
    from components.register.register import register_candidates
    from ferkit.data import read_profile
    from ferkit.registry.settings import Register

    run_ids = [run_id.strip() for run_id in given["run_ids"].split(",")]
    policy = Register.parse(section_of("register", given))
    faces = Path(given["data"])
    model = names.registered_model(given.get("registered_model", ""), read_profile(faces).address)
    client = connect(tracking_uri)
    click.echo(register_candidates(client, run_ids, faces, policy, parent_run_id, model=model))


def _log_profile(folder: Path, tracking_uri: str, run_id: str) -> None:
    client = connect(tracking_uri)
    if run_id:
        client.log_artifact(run_id, str(folder / "profile.json"))
    click.echo(f"data set {folder}")


ENTRIES = {
    "main": main_entry,
    "search": search_entry,
    "ingest": ingest_entry,
    "balance": balance_entry,
    "train": train_entry,
    "evaluate": evaluate_entry,
    "ensemble": ensemble_entry,
    "register": register_entry,
}


def main(arguments: Sequence[str]) -> int:
    """Runs an entry point; bad input is one sentence on stderr and status 1."""
    parent_run_id = os.environ.get("MLFLOW_RUN_ID", "")
    try:
        if not arguments or arguments[0] not in ENTRIES:
            name = arguments[0] if arguments else ""
            raise UserError(f"{name!r}: no such entry point; {nearest(name, ENTRIES)}")
        entry = arguments[0]
        ENTRIES[entry](read_arguments(entry, arguments[1:]), mlflow.get_tracking_uri(), parent_run_id)
    except UserError as error:
        print(f"Error: {shown(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
