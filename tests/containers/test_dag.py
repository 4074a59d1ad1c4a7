"""The whole DAG in its containers, against the services a team has: MLflow on PostgreSQL and S3, the CSV on S3.

Each step runs as nobody, on a read-only disk, in the image that `make images` builds. Then MLflow is asked, and every
place where a secret could have been left is searched.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import mlflow
import pytest
from engine import ROOT, Built
from mlflow.entities import Run
from mlflow_server import mlflow_server
from postgres import PostgresServer, postgres_server
from swift import S3Server, swift_server

from ferkit.tracking import names
from pipeline.parameters import Parameters

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

PARAMETERS = {
    "csv": "s3://csvs/faces.csv",
    "train": {"recipe": "tuned", "epochs": 2, "batch_size": 64, "averaging": "none"},
    "candidates": [{"architecture": "lenet", "width": 0.125}, {"architecture": "multi_kernel", "width": 0.125}],
    "register": {"floor_macro_f1": 0.0, "floor_recall": 0.0},
}
PLANTED = {"MLFLOW_TRACKING_USERNAME": "planted-user-4711", "MLFLOW_TRACKING_PASSWORD": "planted-password-4711"}


@dataclass(frozen=True)
class Team:
    """The services, and how the DAG is run against them."""

    images: Built
    s3: S3Server
    postgres: PostgresServer
    mlflow: str
    folder: Path

    @property
    def bucket(self) -> Any:
        return boto3.client("s3", **_keys(self.s3))

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.mlflow, self.mlflow)

    @property
    def secrets(self) -> dict[str, str]:
        """What steps get by environment, as a cluster's Secrets would give it."""
        return {**PLANTED, "AWS_ACCESS_KEY_ID": self.s3.key, "AWS_SECRET_ACCESS_KEY": self.s3.secret}

    def run(self, name: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        """Runs the DAG in containers; the log is `name`.log."""
        parameters = Parameters.parse({**PARAMETERS, **changes}).dump()
        arguments = {
            **parameters,
            "tracking_uri": self.mlflow,
            "state_dir": "s3://state/training",
            "git_commit": "0123abcd",
        }
        request = {
            "image": self.images.cpu,
            "gpu_image": self.images.cpu,  # the real one has 3 GB of CUDA, and this machine no GPU
            "artifacts": str(self.folder / "artifacts"),
            "arguments": arguments,
            "options": {
                "network_mode": "host",
                "read_only": True,
                "tmpfs": {"/tmp": "size=1g"},
                "cap_drop": ["ALL"],
                "environment": {**self.s3.environment(), **self.secrets},
            },
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(request))
        command = [sys.executable, "-m", "pipeline.docker_runner", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        path.unlink()
        (self.folder / f"{name}.log").write_text(done.stdout + done.stderr)
        return done


def _keys(s3: S3Server) -> dict[str, str]:
    return {
        "endpoint_url": s3.endpoint,
        "aws_access_key_id": s3.key,
        "aws_secret_access_key": s3.secret,
        "region_name": "us-east-1",
    }


@pytest.fixture(scope="module")
def team(images: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    from components.sample import draw_csv

    folder = tmp_path_factory.mktemp("team")
    # Containers run as nobody: the way to the folder must be open.
    for parent in (folder, *list(folder.parents)[:3]):
        parent.chmod(0o755)
    (folder / "artifacts").mkdir()
    (folder / "artifacts").chmod(0o777)
    (folder / "s3").mkdir()
    draw_csv(folder / "faces.csv", faces=700, seed=0)
    with swift_server(folder / "s3") as s3, postgres_server(folder) as postgres:
        bucket = boto3.client("s3", **_keys(s3))
        for name in ("csvs", "mlflow", "state"):
            bucket.create_bucket(Bucket=name)
        bucket.upload_file(str(folder / "faces.csv"), "csvs", "faces.csv")
        with mlflow_server(folder, postgres.store, "s3://mlflow/artifacts", s3.environment()) as address:
            yield Team(images, s3, postgres, address, folder)


@pytest.fixture(scope="module")
def finished(team: Team) -> Run:
    """The parent run of the whole DAG."""
    done = team.run("whole")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    [parent] = _parents(team)
    return parent


def _parents(team: Team) -> list[Run]:
    experiment = team.client.get_experiment_by_name("facial-expression")
    assert experiment is not None
    return list(team.client.search_runs([experiment.experiment_id], "tags.`run.kind` = 'pipeline'"))


def _children(team: Team, parent: Run) -> list[Run]:
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return list(team.client.search_runs([parent.info.experiment_id], query))


def test_the_run_tree_is_whole(team: Team, finished: Run) -> None:
    assert finished.info.status == "FINISHED"
    children = _children(team, finished)
    assert {child.data.tags[names.ARCHITECTURE] for child in children} == {"lenet", "multi_kernel"}
    assert {child.info.status for child in children} == {"FINISHED"}
    for child in children:
        assert 0 <= child.data.metrics["test/macro_f1"] <= 1


def test_both_candidates_are_registered(team: Team, finished: Run) -> None:
    versions = team.client.search_model_versions("name = 'facial-expression'")
    assert {version.run_id for version in versions} == {child.info.run_id for child in _children(team, finished)}


def test_artifacts_are_in_the_bucket_and_can_be_loaded_from_there(team: Team, finished: Run) -> None:
    keys = [item["Key"] for item in team.bucket.list_objects_v2(Bucket="mlflow")["Contents"]]
    assert any(finished.info.run_id in key for key in keys)
    assert any(key.endswith("MLmodel") for key in keys)


def test_training_state_was_kept_under_the_prefix(team: Team, finished: Run) -> None:
    keys = [item["Key"] for item in team.bucket.list_objects_v2(Bucket="state", Prefix="training/")["Contents"]]
    assert any(finished.info.run_id in key for key in keys)


def test_a_step_that_fails_fails_the_run_with_its_sentence(team: Team, finished: Run) -> None:
    done = team.run("failing", csv="s3://csvs/absent.csv")
    assert done.returncode != 0
    assert "absent.csv" in done.stdout


def test_no_secret_is_left_anywhere(team: Team, finished: Run) -> None:
    # The user's name is no secret: MLflow itself writes down who made a version.
    values = [PLANTED["MLFLOW_TRACKING_PASSWORD"], team.s3.key, team.s3.secret]
    found: dict[str, list[str]] = {value: [] for value in values}

    def search(where: str, data: bytes) -> None:
        for value in values:
            if value.encode() in data:
                found[value].append(where)

    logs = [*team.folder.glob("*.log"), *(team.folder / "artifacts").rglob("*")]
    assert len(logs) > 10
    for path in logs:
        if path.is_file():
            search(str(path), path.read_bytes())
    search("the database", team.postgres.dump().encode())
    for bucket in ("mlflow", "state"):
        for page in team.bucket.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                search(item["Key"], team.bucket.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
    assert found == {value: [] for value in values}


def test_the_commit_is_the_one_that_was_given(finished: Run) -> None:
    assert finished.data.tags[names.GIT_COMMIT] == "0123abcd"
