"""The run tree: one parent run per pipeline run, one nested run per candidate.

A candidate's run holds its training AND its evaluation, so that a row in the runs table is a whole experiment. The
parent is found from a candidate's run, or by its id; no search goes over all experiments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import mlflow
from mlflow.entities import Param, Run, RunStatus, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.errors import UserError
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import names
from ferkit.tracking.doubled import discard_runs
from ferkit.tracking.failure import say_failed, take_back_failure
from ferkit.tracking.names import State
from ferkit.tracking.owner import Owner, owner_of
from ferkit.tracking.paging import pages
from ferkit.tracking.store import artifact_location
from ferkit.tracking.views import EXPERIMENT_TAGS, VIEWS

LONGEST_PARAMETER = 6000
PAGE = 1000
"""Runs that MLflow returns at once, at most."""


def experiment_id(client: mlflow.MlflowClient, name: str) -> str:
    """The id of the experiment, made when there is none. Never `set_experiment`: that would outlive the call."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    try:
        location = artifact_location(mlflow.get_tracking_uri())
        return client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS)
    except mlflow.MlflowException as error:  # another process was faster, or the reply to its making was lost
        if is_out_of_reach(error):
            raise
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id


def add_views(client: mlflow.MlflowClient, experiment_id: str) -> None:
    """The saved views, on an experiment that somebody else made (a team's server, `mlflow run`)."""
    there = client.get_experiment(experiment_id).tags
    for name, value in EXPERIMENT_TAGS.items():
        if name not in there or (name in VIEWS and there[name] != value):
            client.set_experiment_tag(experiment_id, name, value)


def search(client: mlflow.MlflowClient, experiment_id: str, query: str) -> Iterator[Run]:
    """All runs of an experiment that a query finds, oldest first, however many."""
    order = ["attributes.start_time ASC"]
    for page in pages(client.search_runs, [experiment_id], query, max_results=PAGE, order_by=order):
        yield from page


def find_parents(client: mlflow.MlflowClient, experiment_id: str, owner: Owner) -> list[Run]:
    """The parent runs of an owner in an experiment, oldest first.

    On Kubeflow by the tag `kfp.pipeline_run_id`, which a backend with the MLflow plugin sets on a parent that it opens
    itself. Its tasks' runs carry the tag too, so only a run without a parent counts.
    """
    tag = names.OWNER if owner.is_local else names.PIPELINE_RUN_ID
    found = search(client, experiment_id, f"tags.`{tag}` = '{owner.id}'")
    return [run for run in found if MLFLOW_PARENT_RUN_ID not in run.data.tags]


def open_parent(
    client: mlflow.MlflowClient, experiment_id: str, owner: Owner, tags: Mapping[str, str], name: str
) -> Run:
    """A new parent run of an owner's.

    Where the reply to its making is lost, MLflow's client asks again, and makes a second one, which is put away.
    """
    told = {**tags, names.RUN_KIND: "pipeline", names.OWNER: owner.id, names.FIRST_OWNER: owner.to_json()}
    client.create_run(experiment_id, tags=told, run_name=name)
    first, *others = find_parents(client, experiment_id, owner)
    discard_runs(client, others)
    return first


def find_parent(client: mlflow.MlflowClient, owner: Owner, experiment: str, plugins_experiment_id: str) -> Run | None:
    """The parent run of an owner; None if there is none.

    Args:
        client: of the MLflow that holds it.
        owner: that runs it.
        experiment: name of the experiment that the pipeline was told.
        plugins_experiment_id: of the experiment in which Kubeflow's MLflow plugin opens runs; empty without it.
    """
    told = client.get_experiment_by_name(experiment)
    for where in dict.fromkeys([told.experiment_id if told else "", plugins_experiment_id]):
        if where and (found := find_parents(client, where, owner)):
            return found[0]
    return None


def open_parents(client: mlflow.MlflowClient, experiment_id: str) -> list[Run]:
    """The pipeline runs of an experiment that have not ended."""
    running = f"attributes.status = 'RUNNING' AND tags.`{names.RUN_KIND}` = 'pipeline'"
    return list(search(client, experiment_id, running))


def children(client: mlflow.MlflowClient, parent: Run, kind: str = "candidate") -> list[Run]:
    """The candidates' runs of a parent, oldest first; or those of another kind."""
    query = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}' AND tags.`{names.RUN_KIND}` = '{kind}'"
    return list(search(client, parent.info.experiment_id, query))


def parent_of(client: mlflow.MlflowClient, run_id: str) -> Run:
    """The parent of a candidate's run.

    Raises:
        UserError: the run has none, so it is no candidate's.
    """
    parent_run_id = client.get_run(run_id).data.tags.get(MLFLOW_PARENT_RUN_ID)
    if not parent_run_id:
        raise UserError(f"run {run_id}: is no candidate's run, for it has no parent; use the id of a candidate")
    return client.get_run(parent_run_id)


def enter(client: mlflow.MlflowClient, parent: Run, owner: Owner) -> None:
    """Makes sure that a step may write: its owner owns the parent run, which is open.

    A backend that tries a pipeline run again runs its failed steps alone, under the same id, after the exit handler has
    ended the parent. So what the same owner has ended is opened again.

    Raises:
        UserError: another owner has the run now, or somebody else ended it.
    """
    run_id = parent.info.run_id
    present = owner_of(parent)
    if present is not None and present.id != owner.id:
        raise UserError(
            f"run {run_id} ({parent.info.run_name}) was taken over by another {_kind(present)}; this step ends, and "
            "leaves the run to it"
        )
    if is_open(parent):
        return
    if parent.data.tags.get(names.CLOSED_BY) != owner.id:
        raise UserError(
            f"run {run_id} ({parent.info.run_name}) was ended as {parent.info.status} by somebody else; go on with it "
            f"by `--resume {run_id}`, or start a new one"
        )
    reopen(client, parent)


def _kind(owner: Owner) -> str:
    return "command" if owner.is_local else f"pipeline run, {owner.id}"


def reopen(client: mlflow.MlflowClient, parent: Run) -> None:
    """Opens a parent run that has ended, without what was said of its end."""
    client.update_run(parent.info.run_id, status="RUNNING")
    take_back_failure(client, parent)
    for tag in (names.CLOSED_BY, names.COMPLETED):
        if tag in parent.data.tags:
            client.delete_tag(parent.info.run_id, tag)


def is_open(run: Run) -> bool:
    """Whether nobody has ended the run yet."""
    return not RunStatus.is_terminated(RunStatus.from_string(run.info.status))


def close(client: mlflow.MlflowClient, run_id: str, status: str = "FINISHED", failure: str = "") -> None:
    """Ends a run as FINISHED, FAILED or KILLED; `failure` is the sentence to show for it."""
    if failure:
        say_failed(client, run_id, failure)
    client.set_terminated(run_id, status=status)


STATUS_OF = {
    State.EVALUATED: "FINISHED",
    State.TRAINED: "FINISHED",
    State.PRUNED: "FINISHED",
    State.FAILED: "FAILED",
}
"""MLflow's status of a candidate that has come so far. One that has not ends as its pipeline run does."""


def close_tree(client: mlflow.MlflowClient, parent: Run, status: str, failure: str = "") -> None:
    """Ends a parent run, and puts its candidates' statuses right: by their own states, whatever MLflow shows.

    Kubeflow's MLflow plugin ends every open child with the parent's status, and opens FAILED ones again at a retry.

    Args:
        client: of the MLflow that holds the runs.
        parent: the pipeline run.
        status: FINISHED, FAILED or KILLED.
        failure: the sentence to show; for candidates that were not done, too.
    """
    for child in children(client, parent):
        right = STATUS_OF.get(child.data.tags.get(names.STATE, ""))
        if right is None:  # not done
            close(client, child.info.run_id, "KILLED" if status == "FINISHED" else status, failure)
        elif child.info.status != right:
            client.set_terminated(child.info.run_id, status=right)
    for record in children(client, parent, "search"):
        if is_open(record):
            client.set_terminated(record.info.run_id, status=status)
    if owner := owner_of(parent):
        client.set_tag(parent.info.run_id, names.CLOSED_BY, owner.id)
    close(client, parent.info.run_id, status, failure)


def last_step(client: mlflow.MlflowClient, run_id: str, name: str) -> int:
    """The highest step at which a metric was logged, 0 for none."""
    return max((point.step for point in client.get_metric_history(run_id, name)), default=0)


def log_new_parameters(client: mlflow.MlflowClient, run_id: str, parameters: Mapping[str, Any]) -> None:
    """Logs the parameters that the run does not have yet.

    A run's parameters are write-once, and `mlflow run` has already logged its own (shell-quoted).
    """
    there = client.get_run(run_id).data.params
    new = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in parameters.items() if key not in there]
    for start in range(0, len(new), 100):
        client.log_batch(run_id, params=new[start : start + 100])


def set_tags(client: mlflow.MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Sets tags of a run, all in one request."""
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
