"""The entry points for single steps. Each ends with a line for the next one: the folder or the run id that it wants."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import mlflow

from components.open_run.open_run import canonical
from components.open_run.origin_tags import origin_tags
from ferkit.addresses import data_name, run_address
from ferkit.code_version import git_commit, weights_version
from ferkit.data import Profile, read_profile
from ferkit.errors import UserError
from ferkit.registry.verdict import Verdict
from ferkit.settings import Settings
from ferkit.step import lines_on_stdout
from ferkit.tracking import names
from ferkit.tracking.candidates import log_scores, open_candidates, state_of
from ferkit.tracking.names import State
from ferkit.tracking.short_ids import SHOWN
from ferkit.tracking.store import LONGEST_TAG
from ferkit.yaml_input import read_yaml
from mlflow_project.entry_points import ENTRY_POINTS
from mlflow_project.project_run import ProjectRun
from pipeline.candidates import find_candidates


def ingest_step(arguments: Mapping[str, str], project: ProjectRun) -> None:
    """A CSV into a data set folder; its profile is logged to the run."""
    from components.ingest.ingest import ingest_csv, summary
    from components.ingest.parameters import Ingest

    settings = Ingest.parse(_section("ingest", arguments))
    folder = Path(arguments["output"])
    _begin(project, settings, arguments["csv"])
    with lines_on_stdout():
        profile = ingest_csv(arguments["csv"], folder, settings)
    click.echo(summary(profile))
    _log_data(project, folder, profile)
    _say_next("balance", data=folder, output="FOLDER")


def balance_step(arguments: Mapping[str, str], project: ProjectRun) -> None:
    """A data set folder into a balanced one; its profile is logged to the run."""
    from components.balance.balance_classes import balance_classes, describe_change
    from components.balance.parameters import Balance

    settings = Balance.parse(_section("balance", arguments))
    folder = Path(arguments["output"])
    before = read_profile(arguments["data"])
    _begin(project, settings, before.address)
    with lines_on_stdout():
        profile = balance_classes(Path(arguments["data"]), folder, settings)
    click.echo(describe_change(before, profile))
    _log_data(project, folder, profile)
    _say_next("train", data=folder, architecture="lenet")


def train_step(arguments: Mapping[str, str], project: ProjectRun) -> None:
    """One candidate, in a run of its own under the one of `mlflow run`."""
    from components.open_run.resolve import resolve_candidates
    from components.train.train import train_candidate

    profile = read_profile(arguments["data"])
    candidate = {"architecture": arguments["architecture"], **_section("train", arguments)}
    tags = origin_tags(profile.address, "", git_commit())
    candidates = resolve_candidates([candidate], {}, (profile.digest, weights_version()), tags)
    parent = project.run
    project.tag({**tags, names.RUN_KIND: "pipeline", **_data_tags(profile)})
    [run_id] = open_candidates(project.client, parent, candidates, {names.PARENT_NAME: str(parent.info.run_name)})
    with lines_on_stdout() as log:
        train_candidate(project.client, run_id, Path(arguments["data"]), arguments.get("state_dir", ""), log)
    _check_not_failed(project, run_id)
    _say_next("evaluate", data=arguments["data"], run_id=run_id)


def evaluate_step(arguments: Mapping[str, str], project: ProjectRun) -> None:
    """Scores a candidate's model on validation and test; its run gets metrics and plots, this one the metrics."""
    from components.evaluate.evaluate import evaluate_candidate
    from components.evaluate.outputs import describe
    from components.evaluate.parameters import Evaluate

    settings = Evaluate.parse(_section("evaluate", arguments))
    client = project.client
    found = find_candidates(client, [arguments["run_id"]])
    if len(found) > 1:
        raise UserError(
            f"run_id: run {arguments['run_id']} has {len(found)} candidates; use one's id: {', '.join(found)}"
        )
    [run_id] = found
    _begin(project, settings, read_profile(arguments["data"]).address)
    project.stands_for(run_id)
    with lines_on_stdout() as log:
        evaluation = evaluate_candidate(client, run_id, Path(arguments["data"]), settings, log)
    if evaluation is None:
        raise UserError(client.get_run(run_id).data.tags.get(names.FAILURE, f"run {run_id} failed in training"))
    log_scores(client, project.run_id, client.get_run(run_id).data.metrics)
    click.echo(describe(evaluation))
    _say_next("register", data=arguments["data"], run_ids=run_id)


def ensemble_step(arguments: Mapping[str, str], project: ProjectRun) -> None:
    """Evaluated candidates as one model, in a run of its own; `run_ids` is a list with commas.

    `evaluate` and `register` take it from there, as with any candidate.
    """
    from components.ensemble.ensemble import join_finalists
    from components.ensemble.parameters import Ensemble

    settings = Ensemble.parse(_section("ensemble", arguments))
    profile = read_profile(arguments["data"])
    run_ids = _run_ids(project, arguments)
    _begin(project, settings, profile.address)
    project.tag({names.RUN_KIND: "pipeline", **_data_tags(profile)})
    with lines_on_stdout() as log:
        run_id = join_finalists(project.client, project.run, run_ids, Path(arguments["data"]), settings, log)
    if not run_id:
        raise UserError(
            "ensemble: nothing was joined; pass two or more evaluated candidates, and weights other than none"
        )
    _check_not_failed(project, run_id)
    _say_next("evaluate", data=arguments["data"], run_id=run_id)


def register_step(arguments: Mapping[str, str], project: ProjectRun) -> None:
    """Candidates into the registry, the best of them before the gate; `run_ids` is a list with commas.

    Verdict, metrics and report are logged to this run, which is a pipeline run of the candidates that it names.
    """
    from components.register.log_report import REPORT, log_report
    from components.register.register import register_candidates
    from ferkit.registry.settings import Register

    settings = Register.parse(_section("register", arguments))
    client, faces = project.client, Path(arguments["data"])
    profile = read_profile(faces)
    model = names.registered_model(arguments.get(names.MODEL_PARAMETER, ""), profile.address)
    run_ids = _run_ids(project, arguments)
    _begin(project, settings, profile.address)
    project.log_parameters({"csv": profile.address, names.MODEL_PARAMETER: model})
    candidates = ",".join(run_ids[: LONGEST_TAG // (len(run_ids[0]) + 1)])
    project.tag({**_data_tags(profile), names.RUN_KIND: "pipeline", names.CANDIDATES: candidates})
    if trained_in := _pipeline_runs(client, run_ids):
        project.tag({names.PARENT_NAME: ", ".join(trained_in)[:LONGEST_TAG]})
    with lines_on_stdout():
        verdict = register_candidates(client, run_ids, faces, settings, project.run_id, model=model)
        log_report(client, run_ids, faces, verdict, project.run_id)
    project.tag({names.COMPLETED: "true"})
    for note in verdict.notes:
        click.echo(f"note: {note}")
    click.echo(str(verdict))
    address = run_address(project.tracking_uri, project.run.info.experiment_id, project.run_id)
    click.echo(f"report: artifact {REPORT} of {address}")
    click.echo(f"next: ferpipe {'promote' if verdict.approved else 'compare'}{_next_arguments(verdict, run_ids)}")


def _pipeline_runs(client: mlflow.MlflowClient, run_ids: Sequence[str]) -> list[str]:
    """Names of the pipeline runs that candidates were trained in, each once."""
    told = [client.get_run(run_id).data.tags.get(names.PARENT_NAME, "") for run_id in run_ids]
    return list(dict.fromkeys(filter(None, told)))


def _next_arguments(verdict: Verdict, run_ids: list[str]) -> str:
    if verdict.approved:
        return f" {verdict.challenger.version} --model {verdict.model}"
    return "".join(f" {run_id[:SHOWN]}" for run_id in run_ids)


@dataclass(frozen=True)
class Step:
    """A single step as an entry point.

    Attributes:
        work: what it does, from its arguments and the run to work in.
        about: its argument that says most about it, for the run's name; empty for none.
    """

    work: Callable[[Mapping[str, str], ProjectRun], None]
    about: str = ""


STEPS: Final = {
    "ingest": Step(ingest_step, "csv"),
    "balance": Step(balance_step),
    "train": Step(train_step, "architecture"),
    "evaluate": Step(evaluate_step),
    "ensemble": Step(ensemble_step),
    "register": Step(register_step),
}


def name_of_step(entry: str, arguments: Mapping[str, str]) -> str:
    """What a step's run is called, beside the time.

    >>> name_of_step("ingest", {"csv": "s3://faces/fer2013.csv"}), name_of_step("balance", {"data": "faces"})
    ('ingest fer2013', 'balance')
    """
    about = arguments.get(STEPS[entry].about, "")
    return f"{entry} {data_name(about) if STEPS[entry].about == 'csv' else about}".strip()


def _section(entry: str, arguments: Mapping[str, str]) -> dict[str, Any]:
    """The step's parameters, read as YAML; any other argument is among them, for the step to check."""
    own = ENTRY_POINTS[entry].own
    return {name: read_yaml(value, name) for name, value in arguments.items() if name not in own}


def _run_ids(project: ProjectRun, arguments: Mapping[str, str]) -> list[str]:
    """The candidates that `run_ids` names: of candidates' runs, and of runs that have some."""
    return find_candidates(project.client, [run_id.strip() for run_id in arguments["run_ids"].split(",")])


def _begin(project: ProjectRun, settings: Settings, csv: str) -> None:
    """Says on the run what it goes by: every parameter, defaults too, the data and the code."""
    project.log_parameters({name: canonical(value) for name, value in settings.model_dump(mode="json").items()})
    project.tag(origin_tags(csv, "", git_commit()))


def _data_tags(profile: Profile) -> dict[str, str]:
    return {names.DATA_SHA256: profile.source.get("sha256", "unknown"), names.DATA_DIGEST: profile.digest}


def _log_data(project: ProjectRun, folder: Path, profile: Profile) -> None:
    project.tag(_data_tags(profile))
    project.client.log_artifact(project.run_id, str(folder / "profile.json"))


def _check_not_failed(project: ProjectRun, run_id: str) -> None:
    run = project.client.get_run(run_id)
    if state_of(run) == State.FAILED:
        raise UserError(run.data.tags[names.FAILURE])


def _say_next(entry: str, **arguments: Path | str) -> None:
    options = " ".join(f"-P {name}={shlex.quote(str(value))}" for name, value in arguments.items())
    click.echo(f"next: mlflow run . -e {entry} {options}")
