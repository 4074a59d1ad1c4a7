"""The run tree: one parent run per pipeline run, one nested run per candidate.

The parent's id travels as a parameter, never by environment. A candidate's run holds its training AND its evaluation,
so that a row in the runs table is a whole experiment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Param, Run, RunStatus, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from components.faces import Profile
from components.tracking import names
from components.tracking.store import artifact_location
from components.tracking.views import EXPERIMENT_TAGS

LONGEST_TAG = 5000
LONGEST_PARAMETER = 6000


def experiment_id(client: mlflow.MlflowClient, name: str) -> str:
    """The id of the experiment, made when there is none. Never `set_experiment`: that would outlive the call."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    try:
        location = artifact_location(mlflow.get_tracking_uri())
        return client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS)
    except mlflow.MlflowException:  # another process was faster
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id


def add_views(client: mlflow.MlflowClient, experiment_id: str) -> None:
    """The saved views, on an experiment that somebody else made (a team's server, `mlflow run`)."""
    there = client.get_experiment(experiment_id).tags
    for name, value in EXPERIMENT_TAGS.items():
        if name not in there:
            client.set_experiment_tag(experiment_id, name, value)


def find_parent(client: mlflow.MlflowClient, pipeline_run_id: str) -> Run | None:
    """The parent run of a pipeline run, by its `kfp.pipeline_run_id` tag in any experiment; None if there is none.

    A Kubeflow backend with the MLflow plugin opens the parent itself and sets that tag; its tasks' runs carry it too,
    so only a run without a parent counts.
    """
    found = client.search_runs(_all_experiments(client), f"tags.`{names.PIPELINE_RUN_ID}` = '{pipeline_run_id}'")
    parents = [run for run in found if MLFLOW_PARENT_RUN_ID not in run.data.tags]
    return parents[0] if parents else None


def open_parents(client: mlflow.MlflowClient, experiments: Sequence[str] = ()) -> list[Run]:
    """The pipeline runs of these experiments, or of all, that have not ended."""
    running = f"attributes.status = 'RUNNING' AND tags.`{names.RUN_KIND}` = 'pipeline'"
    return list(client.search_runs(list(experiments) or _all_experiments(client), running))


def _all_experiments(client: mlflow.MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments(view_type=ViewType.ACTIVE_ONLY)]


def children(client: mlflow.MlflowClient, parent: Run) -> list[Run]:
    """The candidates' runs of a parent, oldest first."""
    found = client.search_runs(
        [parent.info.experiment_id],
        f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}' AND tags.`{names.RUN_KIND}` = 'candidate'",
        order_by=["attributes.start_time ASC"],
    )
    return list(found)


def open_candidate(client: mlflow.MlflowClient, candidate: Mapping[str, Any]) -> Run:
    """The run of a candidate: the one it already has under its parent (a retried or resumed training), or a new one.

    Args:
        candidate: an item that `open_run` made: `candidate_id`, `parent_run_id`, `experiment_id`, `name`, and `tags`.
    """
    parent_run_id, candidate_id = candidate["parent_run_id"], candidate["candidate_id"]
    found = client.search_runs(
        [candidate["experiment_id"]],
        f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_run_id}' AND tags.`{names.CANDIDATE_ID}` = '{candidate_id}'",
    )
    if found:
        if names.FAILURE in found[0].data.tags:
            client.delete_tag(found[0].info.run_id, names.FAILURE)
        client.update_run(found[0].info.run_id, status="RUNNING")
        return client.get_run(found[0].info.run_id)
    tags = {
        **candidate.get("tags", {}),
        MLFLOW_PARENT_RUN_ID: parent_run_id,
        names.RUN_KIND: "candidate",
        names.CANDIDATE_ID: candidate_id,
        names.ARCHITECTURE: candidate["architecture"],
    }
    return client.create_run(candidate["experiment_id"], tags=tags, run_name=candidate["name"])


@contextmanager
def writing_to(run_id: str) -> Iterator[None]:
    """Makes `run_id` MLflow's active run for the block and leaves its status RUNNING afterwards.

    MLflow's own `start_run` block would close the run; a candidate's run is open until its evaluation is done.
    """
    try:
        with mlflow.start_run(run_id=run_id):
            yield
    finally:  # MLflow's block also fails a run for an error that a retry of the step may overcome
        mlflow.MlflowClient().update_run(run_id, status="RUNNING")


def last_step(client: mlflow.MlflowClient, run_id: str, name: str) -> int:
    """The highest step at which a metric was logged, 0 for none."""
    return max((point.step for point in client.get_metric_history(run_id, name)), default=0)


def close(client: mlflow.MlflowClient, run_id: str, status: str = "FINISHED", failure: str = "") -> None:
    """Ends a run as FINISHED, FAILED or KILLED; `failure` is the sentence to show for it."""
    if failure:
        client.set_tag(run_id, names.FAILURE, failure[:LONGEST_TAG])
    client.set_terminated(run_id, status=status)


def is_open(run: Run) -> bool:
    """Whether nobody has ended the run yet."""
    return not RunStatus.is_terminated(RunStatus.from_string(run.info.status))


def log_new_parameters(client: mlflow.MlflowClient, run_id: str, parameters: Mapping[str, Any]) -> None:
    """Logs the parameters that the run does not have yet.

    A run's parameters are write-once, and `mlflow run` has already logged its own (shell-quoted).
    """
    there = client.get_run(run_id).data.params
    new = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in parameters.items() if key not in there]
    for start in range(0, len(new), 100):
        client.log_batch(run_id, params=new[start : start + 100])


def log_split(profile: Profile, split: str, context: str) -> MetaDataset:
    """Logs a split as an input of the active run, with its content digest.

    Args:
        profile: of the data set folder.
        split: `train`, `validation` or `test`.
        context: what it is used for: `training`, `validation` or `testing`.

    Returns:
        The dataset, to attach to metrics (`mlflow.log_metric(..., dataset=…)`).
    """
    return log_faces(profile, split, profile.splits[split]["digest"], context)


def log_faces(profile: Profile, name: str, digest: str, context: str) -> MetaDataset:
    """Logs some of the faces, such as `test_clean`, as an input of the active run; otherwise as `log_split`."""
    source = HTTPDatasetSource(str(profile.source.get("csv", "unknown")))
    dataset = MetaDataset(source, name=name, digest=digest)
    mlflow.log_input(dataset, context=context)
    return dataset


def close_tree(client: mlflow.MlflowClient, parent: Run, status: str, failure: str = "") -> None:
    """Ends a parent run, and every candidate under it that is still open, with the same status."""
    for child in children(client, parent):
        if is_open(child):
            close(client, child.info.run_id, status, failure)
    close(client, parent.info.run_id, status, failure)
