"""The MLflow run that an entry point works in: the one that `mlflow run` opened, with a name and an end like ours.

`mlflow run` without `--experiment-name` opens its run in MLflow's experiment Default. What is done then lies in our
experiment, in a run of its own, and the one in Default says where.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import mlflow
from mlflow.entities import Experiment, Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ferkit.addresses import run_address
from ferkit.errors import in_one_line
from ferkit.tracking import names, tree
from ferkit.tracking.names import dated_name, is_generated
from ferkit.user_input import shown

VARIABLE: Final = "MLFLOW_RUN_ID"
"""Environment variable in which `mlflow run` names the run that it opened."""


@dataclass(frozen=True)
class ProjectRun:
    """Where an entry point logs to.

    Attributes:
        client: of the MLflow at `tracking_uri`.
        tracking_uri: its address.
        opened: id of the run that `mlflow run` opened; empty for an entry point that was started without it.
        run_id: the run to work in; empty where the pipeline opens its own.
    """

    client: mlflow.MlflowClient
    tracking_uri: str
    opened: str
    run_id: str

    @property
    def run(self) -> Run:
        """The run to work in, as it is now."""
        return self.client.get_run(self.run_id)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Sets tags of the run to work in."""
        tree.set_tags(self.client, self.run_id, tags)

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Logs those that `mlflow run` did not log."""
        tree.log_new_parameters(self.client, self.run_id, parameters)

    def stands_for(self, run_id: str) -> None:
        """Says on the run that `mlflow run` opened that another run is meant wherever its id is used."""
        if not self.opened or self.opened == run_id:
            return
        meant = self.client.get_run(run_id)
        address = run_address(self.tracking_uri, meant.info.experiment_id, run_id)
        self.client.set_tag(self.opened, names.STANDS_FOR, run_id)
        self.client.set_tag(self.opened, MLFLOW_RUN_NOTE, f"See [{meant.info.run_name}]({address}).")
        if is_generated(self.client.get_run(self.opened).info.run_name):
            self.client.update_run(self.opened, name=str(meant.info.run_name))


@contextmanager
def project_run(client: mlflow.MlflowClient, tracking_uri: str, opened: str, about: str) -> Iterator[ProjectRun]:
    """The run for a single step. One that is made here is ended here, with the sentence of a failure.

    Args:
        client: as `connect` returns it.
        tracking_uri: of the MLflow that it reaches.
        opened: id of the run that `mlflow run` opened; empty for none.
        about: what the run's name says beside the time.
    """
    if is_ours(client, opened):
        if is_generated(client.get_run(opened).info.run_name):
            client.update_run(opened, name=dated_name(about))
        yield ProjectRun(client, tracking_uri, opened, opened)
        return
    experiment_id = tree.experiment_id(client, names.EXPERIMENT)
    tree.add_views(client, experiment_id)
    made = client.create_run(experiment_id, run_name=dated_name(about)).info.run_id
    project = ProjectRun(client, tracking_uri, opened, made)
    project.stands_for(made)
    try:
        yield project
    except BaseException as error:
        with suppress(mlflow.MlflowException):
            tree.close(client, made, "FAILED", shown(in_one_line(error)))
        raise
    tree.close(client, made)


def is_ours(client: mlflow.MlflowClient, opened: str) -> bool:
    """Whether `mlflow run` opened a run, and was told an experiment for it."""
    if not opened:
        return False
    experiment = client.get_experiment(client.get_run(opened).info.experiment_id)
    return experiment.name != Experiment.DEFAULT_EXPERIMENT_NAME
