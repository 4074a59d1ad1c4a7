"""A run by the beginning of its id, as git takes commits."""

from __future__ import annotations

import re
from typing import Final

import mlflow
from mlflow.entities import LifecycleStage, Run, ViewType

from ferkit.errors import UserError
from ferkit.store_errors import in_the_trash

RUN_ID: Final = re.compile("[0-9a-f]{7,32}")
"""A run's id or its beginning; no version of a registered model has seven digits."""

SHOWN: Final = 8
"""Characters of a run's id that tables show: one more than every command needs."""


def find_run(client: mlflow.MlflowClient, beginning: str) -> Run:
    """The one run whose id begins so.

    Args:
        client: of the MLflow that holds it.
        beginning: 7 characters of the id or more.

    Raises:
        UserError: too short, no such run, more than one, or it is in the trash.
    """
    if not RUN_ID.fullmatch(beginning):
        raise UserError(f"{beginning!r} is no run's id; use 7 to 32 of its characters: `ferpipe runs` shows them")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    query = f"attributes.run_id LIKE '{beginning}%'"
    found = client.search_runs(experiments, query, max_results=2)
    if not found:
        everywhere = [experiment.experiment_id for experiment in client.search_experiments(ViewType.ALL)]
        for deleted in client.search_runs(everywhere, query, ViewType.DELETED_ONLY, max_results=1):
            refuse_deleted(client, deleted)
        raise UserError(f"{beginning}: no such run in this MLflow; `ferpipe runs` shows the last ones")
    if len(found) > 1:
        raise UserError(f"{beginning}: more than one run's id begins so; use more of it")
    return found[0]


def refuse_deleted(client: mlflow.MlflowClient, run: Run) -> None:
    """Refuses a run that was deleted, by itself or with its experiment.

    Raises:
        UserError: with the command that brings it back.
    """
    if run.info.lifecycle_stage != LifecycleStage.DELETED:
        return
    experiment = client.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage == LifecycleStage.DELETED:  # its runs come back with it
        raise UserError(f"run {run.info.run_id}: its {in_the_trash('experiment', experiment.experiment_id)}")
    raise UserError(in_the_trash("run", run.info.run_id))


def whole_id(client: mlflow.MlflowClient, run_id: str) -> str:
    """A run's whole id; one that is whole already is not looked up.

    Raises:
        UserError: as `find_run`.
    """
    return run_id if len(run_id) == 32 else find_run(client, run_id).info.run_id


def with_whole_id(client: mlflow.MlflowClient, address: str) -> str:
    """An address `runs:/ID/path` with the run's whole id; any other address as it is.

    Raises:
        UserError: as `find_run`.
    """
    scheme, slash, rest = address.partition(":/")
    run_id, *path = rest.split("/")
    if scheme != "runs" or not slash or not RUN_ID.fullmatch(run_id):
        return address
    return "/".join([f"runs:/{whole_id(client, run_id)}", *path])
