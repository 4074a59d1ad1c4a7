"""Opens the parent run of a pipeline run, and the nested runs of its candidates."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import mlflow
from mlflow.entities import Run

from components.open_run.origin_tags import origin_tags
from components.open_run.resolve import resolve_candidates
from components.open_run.trials import draw_trials, open_trials
from ferkit.addresses import data_name, without_secrets
from ferkit.code_version import weights_version
from ferkit.errors import UserError
from ferkit.search.settings import Search
from ferkit.settings import whole_numbers
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import open_candidates
from ferkit.tracking.labels import Labels
from ferkit.tracking.names import dated_name, is_generated
from ferkit.tracking.owner import Owner, claim, forget, has_stopped, holds_lock, owner_of
from ferkit.tracking.reuse import log_reusable
from ferkit.tracking.store import plugins_experiment_id


@dataclass(frozen=True)
class PipelineRun:
    """What is known about a pipeline run before a row of its data is read.

    Attributes:
        pipeline_run_id: Kubeflow's id of it.
        owner: who runs it.
        parameters: all sections, as `pipeline/parameters.py` dumps them.
        source_version: of the CSV, as `locate` found it.
        git_commit: with `-dirty` behind it when the tree was.
        parent_run_id: the MLflow run to adopt (a resumed run, or the run of an `mlflow run`); empty for a new one.
        labels: what the person who started it says of it.
    """

    pipeline_run_id: str
    owner: Owner
    parameters: Mapping[str, Any]
    source_version: str
    git_commit: str
    parent_run_id: str = ""
    labels: Labels = field(default_factory=Labels)


def open_run(client: mlflow.MlflowClient, pipeline_run: PipelineRun, log: logging.Logger) -> list[str]:
    """Checks the candidates, or the search, and opens the parent run and one nested run for each candidate or trial.

    A step that is tried again finds what it made the first time.

    Returns:
        The candidates' run ids, in their order; never none.

    Raises:
        UserError: no candidates, two equal ones, an unknown key; or a run to adopt that cannot be resumed.
    """
    parameters = filled_in(pipeline_run.parameters)
    pipeline_run = replace(pipeline_run, parameters=parameters)
    tags = {
        **pipeline_run.labels.tags,
        names.PIPELINE_RUN_ID: pipeline_run.pipeline_run_id,
        **origin_tags(str(parameters["csv"]), pipeline_run.source_version, pipeline_run.git_commit),
    }
    identity = (pipeline_run.source_version, parameters["ingest"], parameters["balance"], weights_version())
    search = Search.parse(parameters["search"])
    drawn = draw_trials(search, parameters["train"], identity, tags, log) if search.is_on else None
    candidates = [] if drawn else resolve_candidates(parameters["candidates"], parameters["train"], identity, tags)
    parent = _open_parent(client, pipeline_run, tags)
    _close_abandoned(client, parent, log)
    shared = {names.PARENT_NAME: str(parent.info.run_name)}
    asked = {section: parameters[section] for section in ("ingest", "balance")}
    data = _flat(whole_numbers(asked))
    if drawn:
        run_ids = open_trials(client, parent, drawn, shared, data)
    else:
        run_ids = open_candidates(client, parent, candidates, shared, data)
    log_reusable(client, parent, log)
    return run_ids


def filled_in(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the registered model's name, and with `recipe` where `train` holds it."""
    filled = dict(parameters)
    recipe = filled.pop("recipe", "")
    if recipe:
        filled["train"] = {**filled["train"], "recipe": recipe}
    return filled | {
        names.MODEL_PARAMETER: names.registered_model(filled.get(names.MODEL_PARAMETER, ""), filled["csv"])
    }


def _open_parent(client: mlflow.MlflowClient, pipeline_run: PipelineRun, tags: Mapping[str, str]) -> Run:
    """The run to adopt, else the one that this owner opened before (a retry, or the plugin's), else a new one."""
    parameters = whole_numbers(dict(pipeline_run.parameters))
    owner = pipeline_run.owner
    if pipeline_run.parent_run_id:
        parent = _adopt(client, pipeline_run, tags)
    else:
        parent = tree.find_parent(client, owner, parameters["experiment"], plugins_experiment_id())
    if parent is None:
        parent = _create(client, parameters, owner, tags, pipeline_run.labels.name)
    run_id = parent.info.run_id
    claim(client, parent, owner)
    tree.add_views(client, parent.info.experiment_id)
    tree.reopen(client, parent)
    ours = {names.RUN_KIND: "pipeline", names.OWNER: owner.id}
    tree.set_tags(client, run_id, {**tags, **pipeline_run.labels.of_the_run, **ours})
    shown = dict(parameters) | {"csv": without_secrets(str(parameters["csv"]))}
    tree.log_new_parameters(client, run_id, _flat(shown))
    client.log_dict(run_id, shown, "parameters.yaml")
    return client.get_run(run_id)


def _create(
    client: mlflow.MlflowClient, parameters: Mapping[str, Any], owner: Owner, tags: Mapping[str, str], name: str
) -> Run:
    experiment_id = tree.experiment_id(client, parameters["experiment"])
    name = name or dated_name(data_name(str(parameters["csv"])))
    return tree.open_parent(client, experiment_id, owner, tags, name)


def _adopt(client: mlflow.MlflowClient, pipeline_run: PipelineRun, tags: Mapping[str, str]) -> Run:
    """The run to adopt.

    Raises:
        UserError: there is none, it is alive, or it began elsewhere, or with other code or data.
    """
    run_id = pipeline_run.parent_run_id
    try:
        parent = client.get_run(run_id)
    except mlflow.MlflowException as error:
        if is_out_of_reach(error):
            raise
        raise UserError(f"parent run {run_id}: not in this MLflow ({error.message})") from None
    refuse_living(client, parent, pipeline_run.owner)
    # With other code or data, its candidates would start again beside what they have.
    for name, what in ((names.WEIGHTS_VERSION, "code"), (names.DATA_VERSION, "data")):
        before, now = parent.data.tags.get(name), tags.get(name)
        if before and now and before != now:
            raise UserError(
                f"run {run_id} began with other {what} ({before}; now {now}), with which its trainings cannot go on; "
                f"bring that {what} back, or start a new run"
            )
    if names.CODE_VERSION in parent.data.tags and names.WEIGHTS_VERSION not in parent.data.tags:
        raise UserError(f"run {run_id} began with version 0.1 of this pipeline, which can resume it; start a new run")
    if is_generated(parent.info.run_name):  # `mlflow run` opened it
        client.update_run(run_id, name=dated_name(data_name(str(pipeline_run.parameters["csv"]))))
        return client.get_run(run_id)
    return parent


def refuse_living(client: mlflow.MlflowClient, parent: Run, owner: Owner) -> None:
    """Refuses to adopt a run whose owner is alive, or that ran where `owner` does not.

    Raises:
        UserError: naming the run, and what to do.
    """
    present = owner_of(parent)
    if present is None or present.id == owner.id:
        return
    named = f"run {parent.info.run_id} ({parent.info.run_name})"
    if present.is_local != owner.is_local:
        where, how = ("on a machine", "ferpipe run") if present.is_local else ("on Kubeflow", "ferpipe submit")
        raise UserError(f"{named} ran {where}: resume it there, by `{how} --resume {parent.info.run_id}`")
    if not tree.is_open(parent):
        return
    if not owner.is_local:
        raise UserError(
            f"{named} belongs to pipeline run {present.id}, which has not ended it; wait for it or terminate it, then "
            f"`ferpipe submit --resume {parent.info.run_id}`"
        )
    if not has_stopped(client, parent):
        raise UserError(f"{named} is still running, by another command; wait for it, or stop that one first")


def _flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`{"ingest": {"seed": 0}}` as `{"ingest.seed": 0}`: one MLflow parameter each."""
    flat: dict[str, Any] = {}
    for section, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= {f"{section}.{key}": canonical(inner) for key, inner in value.items()}
        else:
            flat[section] = canonical(value)
    return flat


def canonical(value: Any) -> Any:
    """One text for equal values, whatever the order of their keys: equal settings do not differ in MLflow."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | Mapping) else value


def _close_abandoned(client: mlflow.MlflowClient, parent: Run, log: logging.Logger) -> None:
    """Ends the pipeline runs of this machine whose command is gone: killed, or the machine went down."""
    for run in tree.open_parents(client, parent.info.experiment_id):
        owner = owner_of(run)
        if run.info.run_id != parent.info.run_id and owner is not None and holds_lock(owner) is False:
            tree.close_tree(client, run, "KILLED", "the command that ran it was gone when the next run started")
            forget(owner)
            log.info("ended run %s (%s): the command that ran it is gone", run.info.run_id, run.info.run_name)
