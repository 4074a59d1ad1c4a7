"""The run tree on an MLflow server as a team runs one: PostgreSQL behind it, artifacts in an S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from mlflow_server import mlflow_server
from postgres import postgres_server
from swift import swift_server

from components.close_run.close_run import close_run
from components.tracking import names, runs
from components.tracking.store import connect

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("services")
    (folder / "s3").mkdir()
    with swift_server(folder / "s3") as s3, postgres_server(folder) as postgres:
        keys = {"aws_access_key_id": s3.key, "aws_secret_access_key": s3.secret, "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=s3.endpoint, **keys).create_bucket(Bucket="mlflow")
        with mlflow_server(folder, postgres.store, "s3://mlflow/artifacts", s3.environment()) as address:
            yield address


def test_the_plugins_parent_is_adopted_and_not_its_tasks_run(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kubeflow backend with the MLflow plugin opens a parent and, under it, a run for every task."""
    monkeypatch.setenv("MLFLOW_RUN_ID", "the-tasks-own-run")
    client = connect(address)
    experiment = runs.experiment_id(client, "from-the-plugin")
    parent = client.create_run(experiment, tags={names.PIPELINE_RUN_ID: "kfp-1"})
    task = {names.PIPELINE_RUN_ID: "kfp-1", "mlflow.parentRunId": parent.info.run_id}
    client.create_run(experiment, tags=task)
    found = runs.find_parent(client, "kfp-1")
    assert found is not None
    assert found.info.run_id == parent.info.run_id


@pytest.mark.parametrize(
    ("state", "status"),
    [("COMPLETE", "FINISHED"), ("SUCCEEDED", "FINISHED"), ("FAILED", "FAILED"), ("CANCELLED", "KILLED")],
)
def test_every_open_run_of_the_tree_is_closed(address: str, state: str, status: str) -> None:
    client = connect(address)
    experiment = runs.experiment_id(client, "closing")
    parent = client.create_run(experiment, tags={names.PIPELINE_RUN_ID: f"kfp-{state}"})
    candidate = {
        "candidate_id": "c",
        "parent_run_id": parent.info.run_id,
        "experiment_id": experiment,
        "architecture": "lenet",
        "name": "lenet-s0",
    }
    child = runs.open_candidate(client, candidate)
    assert runs.open_candidate(client, candidate).info.run_id == child.info.run_id
    close_run(client, f"kfp-{state}", state, "because")
    assert client.get_run(parent.info.run_id).info.status == status
    assert client.get_run(child.info.run_id).info.status == status


def test_artifacts_go_through_the_server_without_keys(address: str, tmp_path: Path) -> None:
    client = connect(address)
    run = client.create_run(runs.experiment_id(client, "artifacts"))
    client.log_text(run.info.run_id, "seven", "deep/text.txt")
    assert run.info.artifact_uri is not None
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    [item] = client.list_artifacts(run.info.run_id, "deep")
    assert Path(client.download_artifacts(run.info.run_id, item.path, str(tmp_path))).read_text() == "seven"
