"""Registered models: their versions, tags and aliases. What makes one ours is a tag on it."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import mlflow
from mlflow.entities import LoggedModelStatus, Run
from mlflow.entities.model_registry import ModelVersion

from ferkit.errors import UserError
from ferkit.registry.model_page import OF_0_1, describe_model
from ferkit.store_errors import StoreError, classify
from ferkit.tracking import names
from ferkit.tracking.doubled import discard_versions
from ferkit.tracking.paging import pages
from ferkit.tracking.reuse import origin_of

OURS: Final = "made_by"
"""Tag of a registered model that this pipeline made; its value is `BY`."""

BY: Final = "fer-pipeline"


@dataclass(frozen=True)
class Version:
    """A version of a registered model. (MLflow's own has its number as int from a database, as str from a server.)

    Attributes:
        model: the registered model's name.
        number: 1, 2, 3 and so on, as text.
        run_id: the candidate's run; empty for a version that was registered from elsewhere.
        tags: what is known about it.
    """

    model: str
    number: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """Where to load it from."""
        return f"models:/{self.model}/{self.number}"


def _version(found: ModelVersion) -> Version:
    return Version(found.name, str(found.version), found.run_id or "", found.tags)


def our_models(client: mlflow.MlflowClient) -> list[str]:
    """The names of the registered models that this pipeline made, in order. Version 0.1 left no tag on its one."""
    return [
        model.name
        for page in pages(client.search_registered_models, max_results=200, order_by=["name ASC"])
        for model in page
        if model.tags.get(OURS) == BY or model.name == names.REGISTERED_MODEL
    ]


def choose_model(client: mlflow.MlflowClient, name: str = "") -> str:
    """The registered model that a command is about: the one named, else the only one of ours.

    Raises:
        UserError: there is none, or there are several; names them.
    """
    if name:
        return name
    found = our_models(client)
    if not found:
        raise UserError("no model is registered in this MLflow yet; train one with `ferpipe run`")
    if len(found) > 1:
        raise UserError(f"there are {len(found)} registered models; say which with --model: {', '.join(found)}")
    return found[0]


def model_of(parent: Run) -> str:
    """The registered model that a pipeline run was told; version 0.1 knew one alone."""
    return parent.data.params.get(names.MODEL_PARAMETER) or names.REGISTERED_MODEL


def aliases(client: mlflow.MlflowClient, model: str = names.REGISTERED_MODEL) -> dict[str, str]:
    """The registered model's aliases with the numbers they point to.

    Raises:
        UserError: nothing was ever registered.
    """
    try:
        found = client.get_registered_model(model)
    except mlflow.MlflowException as error:
        if not is_missing(error):
            raise
        raise UserError(f"no model {model} is registered in this MLflow; {_others(client)}") from None
    return {alias: str(number) for alias, number in found.aliases.items()}


def _others(client: mlflow.MlflowClient) -> str:
    there = our_models(client)
    return f"there is {', '.join(there)}" if there else "train one with `ferpipe run`"


def find_version(client: mlflow.MlflowClient, number: str, model: str = names.REGISTERED_MODEL) -> Version | None:
    """A version by its number; None if there is none, or it was deleted."""
    try:
        return _version(client.get_model_version(model, number))
    except mlflow.MlflowException as error:
        if is_missing(error):
            return None
        raise


def version_of(client: mlflow.MlflowClient, version: str, model: str = names.REGISTERED_MODEL) -> Version:
    """A version by its number, or by an alias.

    Raises:
        UserError: there is none.
    """
    number = aliases(client, model).get(version, version)
    found = find_version(client, number, model) if number.isdecimal() else None
    if found is None:
        newest = [there.number for there in versions(client, model=model)[:10]]
        known = f"newest: {', '.join(newest)}" if newest else "train one with `ferpipe run`"
        if version == names.CHAMPION:
            raise UserError(f"{model} has no champion yet; make one with `ferpipe promote`, or name a version; {known}")
        raise UserError(f"{model} has no version {version!r}; {known}")
    return found


def versions(client: mlflow.MlflowClient, run_id: str = "", model: str = names.REGISTERED_MODEL) -> list[Version]:
    """All versions, or those of one candidate's run, newest first."""
    query = f"name = '{model}'" + (f" AND run_id = '{run_id}'" if run_id else "")
    found = [_version(one) for page in pages(client.search_model_versions, query, max_results=200) for one in page]
    return sorted(found, key=lambda version: int(version.number), reverse=True)


def versions_by_run(client: mlflow.MlflowClient) -> dict[str, dict[str, Version]]:
    """The lowest version of every run that has one: by run id, then by registered model, of all models of ours."""
    found: dict[str, dict[str, Version]] = {}
    for model in our_models(client):
        for version in versions(client, model=model):  # newest first
            found.setdefault(version.run_id, {})[model] = version
    return found


def version_of_run(registered: Mapping[str, Mapping[str, Version]], run: Run, model: str) -> Version | None:
    """The version of a run; of one that was reused, that of its origin.

    Args:
        registered: as `versions_by_run` returns it.
        run: the candidate's.
        model: the registered model of its pipeline run, whose version goes before any other model's.
    """
    there = registered.get(origin_of(run), {})
    return there.get(model) or next(iter(there.values()), None)


def register_run(
    client: mlflow.MlflowClient,
    run: Run,
    tags: Mapping[str, str],
    description: str,
    model: str = names.REGISTERED_MODEL,
) -> Version:
    """Registers the model of a candidate's run; a run that has a version keeps it.

    One that was reused from another run gets that run's version, as it is; where it has none, it is made.

    Args:
        client: of the MLflow that holds the run; `connect` has pointed MLflow's fluent functions at it, too.
        run: the candidate's.
        tags: of a new version.
        description: what a person reads first, in the registry's list.
        model: the registered model, made where there is none.
    """
    ensure_registered_model(client, model)
    run_id = origin_of(run)
    there = versions(client, run_id, model)
    if there and run_id != run.info.run_id:
        return there[-1]
    if not there:
        logging.getLogger("mlflow.tracking._model_registry.fluent").setLevel(logging.ERROR)
        with contextlib.redirect_stderr(io.StringIO()):  # "Successfully registered model ..."
            mlflow.register_model(_address_of_model(client, run_id), model, tags=dict(tags))
        there = versions(client, run_id, model)
        # A reply was lost, or another process registered the run at the same moment: the first one counts.
        discard_versions(client, model, [version.number for version in there[:-1]])
    client.update_model_version(model, there[-1].number, description=description)
    return there[-1]


def _address_of_model(client: mlflow.MlflowClient, run_id: str) -> str:
    """Of the newest whole model that a run logged: where a training was killed, another may have been begun."""
    query = f"source_run_id = '{run_id}' AND name = '{names.MODEL_ARTIFACT}'"
    found = client.search_logged_models([client.get_run(run_id).info.experiment_id], filter_string=query)
    ready = [model for model in found if model.status == LoggedModelStatus.READY]
    if not ready:
        return f"runs:/{run_id}/{names.MODEL_ARTIFACT}"
    return f"models:/{max(ready, key=lambda model: model.creation_timestamp).model_id}"


def ensure_registered_model(client: mlflow.MlflowClient, model: str = names.REGISTERED_MODEL) -> None:
    """Makes the registered model when there is none; one without a description gets one."""
    description = describe_model(model)
    try:
        client.create_registered_model(model, tags={OURS: BY}, description=description)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        if client.get_registered_model(model).description in (None, "", OF_0_1):
            client.update_registered_model(model, description)
            client.set_registered_model_tag(model, OURS, BY)


def set_tags(client: mlflow.MlflowClient, version: Version, tags: Mapping[str, str]) -> None:
    """Sets tags of a version."""
    for name, value in tags.items():
        client.set_model_version_tag(version.model, version.number, name, value)


def is_missing(error: mlflow.MlflowException) -> bool:
    """Whether MLflow says that there is no such thing, rather than that something went wrong."""
    return classify(error) is StoreError.MISSING
