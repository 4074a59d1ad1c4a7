"""Candidates that an earlier pipeline run trained and evaluated: found again by their id, wherever in this MLflow."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.tracking import names
from ferkit.tracking.names import State
from ferkit.tracking.tree import PAGE


def origin_of(run: Run) -> str:
    """The id of the run that trained a candidate's model: its own, unless it was taken over from another one."""
    return run.data.tags.get(names.REUSED_FROM, run.info.run_id)


def model_address(run: Run) -> str:
    """Where a candidate's model is: `runs:/<run_id>/model`. MLflow finds a model under the run alone that logged it."""
    return f"runs:/{origin_of(run)}/{names.MODEL_ARTIFACT}"


def find_equal(client: mlflow.MlflowClient, run: Run, model: str) -> list[Run]:
    """The candidates of other pipeline runs that are equal to one; those with a version of `model` first, then newest.

    Args:
        client: of the MLflow that holds them.
        run: of a candidate whose settings are known.
        model: the registered model that it becomes a version of.
    """
    tags = run.data.tags
    query = f"tags.`{names.CANDIDATE_ID}` = '{tags[names.CANDIDATE_ID]}'"
    found = find_evaluated(client, query, tags[MLFLOW_PARENT_RUN_ID])
    return sorted(found, key=lambda one: not one.data.tags.get(names.VERSION, "").startswith(f"{model}/"))


def find_evaluated(client: mlflow.MlflowClient, query: str, parent_run_id: str) -> Iterator[Run]:
    """The candidates, newest first, that were trained and evaluated under another parent.

    Neither those that were pruned or failed, nor those that were themselves taken over.

    Args:
        client: of the MLflow that holds them.
        query: which ones, in MLflow's filter language.
        parent_run_id: the pipeline run whose own candidates do not count.
    """
    of_state = f"tags.`{names.STATE}` = '{State.EVALUATED}' AND attributes.status = 'FINISHED'"
    for experiment_ids in _experiments(client):
        token: str | None = None
        while True:
            page = client.search_runs(
                experiment_ids,
                f"{query} AND {of_state}",
                max_results=PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            for run in page:
                tags = run.data.tags
                if names.REUSED_FROM not in tags and tags.get(MLFLOW_PARENT_RUN_ID) != parent_run_id:
                    yield run
            token = page.token
            if not token:
                break


def _experiments(client: mlflow.MlflowClient) -> Iterator[list[str]]:
    """The ids of all experiments, a page at a time."""
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=PAGE, page_token=token)
        yield [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return
