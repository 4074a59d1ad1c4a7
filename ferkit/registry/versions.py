"""The registered model: its versions, their tags, its aliases."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import mlflow
from mlflow.entities.model_registry import ModelVersion

from ferkit.errors import MISSING, UserError
from ferkit.tracking import names

MODEL = names.REGISTERED_MODEL

DESCRIPTION = (
    "Tells seven facial expressions apart: angry, disgust, fear, happy, sad, surprise, neutral. `champion` is the "
    "version to use, `challenger` the last one approved to take its place. A version's tags say how it was judged."
)

PARENT_RUN = "pipeline.mlflow_run_id"
"""Tag of a version: the parent run it came from."""


@dataclass(frozen=True)
class Version:
    """A version of the registered model. (MLflow's own has its number as int from a database, as str from a server.)

    Attributes:
        number: 1, 2, 3 and so on, as text.
        run_id: the candidate's run; empty for a version that was registered from elsewhere.
        tags: what is known about it.
    """

    number: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """Where to load it from."""
        return f"models:/{MODEL}/{self.number}"


def _version(found: ModelVersion) -> Version:
    return Version(str(found.version), found.run_id or "", found.tags)


def aliases(client: mlflow.MlflowClient) -> dict[str, str]:
    """The registered model's aliases with the numbers they point to.

    Raises:
        UserError: nothing was ever registered.
    """
    try:
        model = client.get_registered_model(MODEL)
    except mlflow.MlflowException as error:
        if not is_missing(error):
            raise
        raise UserError(f"no model {MODEL} is registered in this MLflow; train one with `ferpipe run`") from None
    return {alias: str(number) for alias, number in model.aliases.items()}


def find_version(client: mlflow.MlflowClient, number: str) -> Version | None:
    """A version by its number; None if there is none, or it was deleted."""
    try:
        return _version(client.get_model_version(MODEL, number))
    except mlflow.MlflowException as error:
        if is_missing(error):
            return None
        raise


def version_of(client: mlflow.MlflowClient, version: str) -> Version:
    """A version by its number, or by an alias.

    Raises:
        UserError: there is none.
    """
    number = aliases(client).get(version, version)
    found = find_version(client, number) if number.isdecimal() else None
    if found is None:
        newest = [there.number for there in versions(client)[:10]]
        known = f"newest: {', '.join(newest)}" if newest else "train one with `ferpipe run`"
        raise UserError(f"{MODEL} has no version {version!r}; {known}")
    return found


def versions(client: mlflow.MlflowClient, run_id: str = "") -> list[Version]:
    """All versions, or those of one candidate's run, newest first."""
    query = f"name = '{MODEL}'" + (f" AND run_id = '{run_id}'" if run_id else "")
    found: list[Version] = []
    token = None
    while True:
        page = client.search_model_versions(query, max_results=200, page_token=token)
        found.extend(map(_version, page))
        token = page.token
        if not token:
            return sorted(found, key=lambda version: int(version.number), reverse=True)


def register_run(client: mlflow.MlflowClient, run_id: str, tags: Mapping[str, str], description: str) -> Version:
    """Registers the model of a candidate's run; a run that has a version keeps it.

    Args:
        client: of the MLflow that holds the run; `connect` has pointed MLflow's fluent functions at it, too.
        run_id: the candidate's run.
        tags: of a new version.
        description: what a person reads first, in the registry's list.
    """
    ensure_registered_model(client)
    there = versions(client, run_id)
    if not there:
        logging.getLogger("mlflow.tracking._model_registry.fluent").setLevel(logging.ERROR)
        with contextlib.redirect_stderr(io.StringIO()):  # "Successfully registered model ..."
            made = mlflow.register_model(f"runs:/{run_id}/{names.MODEL_ARTIFACT}", MODEL, tags=dict(tags))
        there = versions(client, run_id)
        if there[-1].number != str(made.version):  # another process registered the run at the same moment, before this
            client.delete_model_version(MODEL, str(made.version))
    client.update_model_version(MODEL, there[-1].number, description=description)
    return there[-1]


def ensure_registered_model(client: mlflow.MlflowClient) -> None:
    """Makes the registered model when there is none."""
    try:
        client.create_registered_model(MODEL, description=DESCRIPTION)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def set_tags(client: mlflow.MlflowClient, version: str, tags: Mapping[str, str]) -> None:
    """Sets tags of a version."""
    for name, value in tags.items():
        client.set_model_version_tag(MODEL, version, name, value)


def is_missing(error: mlflow.MlflowException) -> bool:
    """Whether MLflow says that there is no such thing, rather than that something went wrong."""
    return error.error_code in MISSING
