"""Candidates that an earlier pipeline run made and evaluated: found by id, in any experiment of this MLflow; reused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import mlflow
from mlflow.artifacts import list_artifacts
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import names
from ferkit.tracking.candidates import state_of
from ferkit.tracking.names import State
from ferkit.tracking.paging import pages
from ferkit.tracking.short_ids import SHOWN
from ferkit.tracking.tree import PAGE, children, parent_of

NOT_COPIED: Final = ("system/", *(names.metric(split, "") for split in ("validation", "test", "test_clean")))
"""Prefixes of metrics that are not copied: the machine's, and those that `evaluate` measures again."""

COPIED_TAGS: Final = (names.DATA_SHA256, names.DATA_DIGEST, "hardware", "precision")

BATCH: Final = 1000
"""Metrics that MLflow accepts in one request, at most."""


@dataclass(frozen=True)
class Origin:
    """A candidate of an earlier pipeline run, whose model is there.

    Attributes:
        run: the candidate's.
        model_id: of its logged model.
    """

    run: Run
    model_id: str

    def __str__(self) -> str:
        """For a sentence: its run, that one's pipeline run, and its version where it has one."""
        tags = self.run.data.tags
        of = f" of {tags[names.PARENT_NAME]}" if names.PARENT_NAME in tags else ""
        version = f", version {tags[names.VERSION]}" if names.VERSION in tags else ""
        return f"run {self.run.info.run_id[:SHOWN]} ({self.run.info.run_name}{of}{version})"


def origin_of(run: Run) -> str:
    """The id of the run that logged a candidate's model: its own, unless it was reused from another one."""
    return run.data.tags.get(names.REUSED_FROM, run.info.run_id)


def model_address(run: Run) -> str:
    """Where a candidate's model is: `runs:/<run_id>/model`. MLflow finds a model under the run alone that logged it."""
    return f"runs:/{origin_of(run)}/{names.MODEL_ARTIFACT}"


def find_origin(client: mlflow.MlflowClient, run: Run, data_digest: str) -> Origin | None:
    """An equal candidate of another pipeline run; the newest that has a version in this one's registered model, if any.

    Args:
        client: of the MLflow that holds them.
        run: of a candidate whose settings are known.
        data_digest: of the data set that both have to have been made with.
    """
    model = parent_of(client, run.info.run_id).data.params.get(names.MODEL_PARAMETER, "")
    tags = run.data.tags
    query = f"tags.`{names.CANDIDATE_ID}` = '{tags[names.CANDIDATE_ID]}'"
    found = [
        one
        for one in find_evaluated(client, query, tags[MLFLOW_PARENT_RUN_ID])
        if one.data.tags.get(names.DATA_DIGEST) == data_digest
    ]
    found.sort(key=lambda one: not one.data.tags.get(names.VERSION, "").startswith(f"{model}/"))
    origins = (Origin(one, _model_of(client, one)) for one in found)
    return next((origin for origin in origins if origin.model_id), None)


def _model_of(client: mlflow.MlflowClient, run: Run) -> str:
    """The id of a run's logged model; empty where it, or what it consists of, was deleted."""
    logged = client.get_run(run.info.run_id).outputs
    for output in logged.model_outputs if logged else []:
        try:
            is_whole = client.get_logged_model(output.model_id).status == LoggedModelStatus.READY
            if is_whole and list_artifacts(artifact_uri=f"models:/{output.model_id}"):
                return output.model_id
        except mlflow.MlflowException as error:
            if is_out_of_reach(error):
                raise
    return ""


def find_evaluated(client: mlflow.MlflowClient, query: str, parent_run_id: str) -> Iterator[Run]:
    """The candidates, newest first, that were made and evaluated under another parent.

    Neither those that were pruned or failed, nor those that were themselves reused.

    Args:
        client: of the MLflow that holds them.
        query: which ones, in MLflow's filter language.
        parent_run_id: the pipeline run whose own candidates do not count.
    """
    query = f"{query} AND tags.`{names.STATE}` = '{State.EVALUATED}'"
    newest_first = ["attributes.start_time DESC"]
    for experiments in pages(client.search_experiments, max_results=PAGE):
        ids = [experiment.experiment_id for experiment in experiments]
        for page in pages(client.search_runs, ids, query, max_results=PAGE, order_by=newest_first):
            for run in page:
                tags = run.data.tags
                if names.REUSED_FROM not in tags and tags.get(MLFLOW_PARENT_RUN_ID) != parent_run_id:
                    yield run


def log_reusable(client: mlflow.MlflowClient, parent: Run, log: logging.Logger) -> None:
    """Logs one line where `train.reuse` is off and would save trainings; a search's open trials log it at their start.

    Args:
        client: of the MLflow that holds the runs.
        parent: of the candidates that are about to be trained.
        log: for the line.
    """
    weights = parent.data.tags.get(names.WEIGHTS_VERSION)
    waiting = {
        run.data.tags[names.CANDIDATE_ID]: run
        for run in children(client, parent)
        if state_of(run) == State.WAITING and names.CANDIDATE_ID in run.data.tags
    }
    new = {one: run for one, run in waiting.items() if run.data.params.get("reuse") == "False"}
    if not new or not weights:
        return
    found: dict[str, Run] = {}
    for run in find_evaluated(client, f"tags.`{names.WEIGHTS_VERSION}` = '{weights}'", parent.info.run_id):
        candidate_id = run.data.tags.get(names.CANDIDATE_ID, "")
        if candidate_id in new:
            found.setdefault(candidate_id, run)
        if len(found) == len(new):
            break
    if found:
        first, run = next(iter(found.items()))
        log.warning(
            "%s",
            f"{len(found)} of {len(waiting)} candidates were trained and evaluated before, on the same data "
            f"({new[first].info.run_name}: run {run.info.run_id[:SHOWN]}); train.reuse=true reuses them",
        )


def log_reused_training(client: mlflow.MlflowClient, run_id: str, origin: Origin) -> None:
    """Logs the origin's training metrics, by epoch, and its model as output to a run, and tags the run `reused.from`.

    Calling it again changes nothing: metrics keep their time and step, and the tag is set last.
    """
    source_id, source = origin.run.info.run_id, origin.run.data
    copied = [name for name in source.metrics if not name.startswith(NOT_COPIED)]
    points = [point for name in copied for point in client.get_metric_history(source_id, name)]
    metrics = [Metric(point.key, point.value, point.timestamp, point.step) for point in points]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    outputs = client.get_run(run_id).outputs
    if not outputs or not outputs.model_outputs:  # MLflow refuses a link that it has already
        client.log_outputs(run_id, [LoggedModelOutput(origin.model_id, 0)])
    tags = [RunTag(name, source.tags[name]) for name in COPIED_TAGS if name in source.tags]
    client.log_batch(run_id, tags=[*tags, RunTag(names.REUSED_FROM, source_id)])
