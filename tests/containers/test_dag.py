"""The whole DAG in its containers, against the services a team has: MLflow on PostgreSQL and S3, the CSV on S3.

Each step runs as nobody, on a read-only disk, in the image that `make images` builds. Then MLflow is asked, and every
place where a secret could have been left is searched.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import mlflow
import pytest
from engine import ROOT, Built, docker
from mlflow.entities import Run
from mlflow_server import mlflow_server
from postgres import PostgresServer, postgres_server
from swift import S3Server, swift_server

from ferkit.tracking import names
from pipeline.parameters import Parameters

HERE = Path(__file__).resolve().parent

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

EPOCHS = 12
"""Of the candidate that is killed in the midst of them."""

PARAMETERS = {
    "csv": "s3://csvs/faces.csv",
    "train": {"recipe": "tuned", "epochs": 2, "batch_size": 64, "tta": "none"},
    "candidates": [
        {"architecture": "lenet", "width": 0.125},
        {"architecture": "multi_kernel", "width": 0.125, "epochs": EPOCHS},
        {"architecture": "lenet", "width": 0.125, "backend": "jax"},  # which is not in the image
    ],
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
        """What steps get by environment, as from a cluster's Secrets."""
        return {**PLANTED, "AWS_ACCESS_KEY_ID": self.s3.key, "AWS_SECRET_ACCESS_KEY": self.s3.secret}

    def start(self, name: str, retries: int = 0, parent_run_id: str = "", **changes: Any) -> subprocess.Popen[str]:
        """Starts the DAG in containers; the log is `name`.log."""
        arguments = {
            **Parameters.parse({**PARAMETERS, **changes}).dump(),
            "tracking_uri": self.mlflow,
            "state_dir": "s3://state/training",
            "git_commit": "0123abcd",
            "parent_run_id": parent_run_id,
        }
        request = {
            "image": self.images.cpu,
            "gpu_image": self.images.cpu,  # the real one has 3 GB of CUDA, and this machine no GPU
            "artifacts": str(self.folder / "artifacts"),
            "arguments": arguments,
            "retries": retries,
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
        command = [sys.executable, str(HERE / "docker_runner.py"), str(path)]
        with self.log(name).open("w") as log:
            return subprocess.Popen(command, cwd=ROOT, text=True, stdout=log, stderr=subprocess.STDOUT)

    def log(self, name: str) -> Path:
        """Everything that a run printed."""
        return self.folder / f"{name}.log"

    def run(self, name: str, **changes: Any) -> int:
        """Runs the DAG to its end; its exit status."""
        return self.start(name, **changes).wait()

    def kill_training(self, architecture: str) -> str:
        """Kills the container that trains such a candidate, by SIGKILL, once its first epoch is saved; its run's id."""
        deadline = time.monotonic() + 900
        while time.monotonic() < deadline:
            for page in self.bucket.get_paginator("list_objects_v2").paginate(Bucket="state", Prefix="training/"):
                for item in page.get("Contents", []):
                    run_id = item["Key"].split("/")[-2]
                    run = self.client.get_run(run_id)
                    logged = self.client.get_metric_history(run_id, "train/loss")
                    if (
                        run.data.tags[names.ARCHITECTURE] == architecture
                        and run.data.tags[names.STATE] == "running"
                        and 1 <= len(logged) < EPOCHS
                    ):
                        [container] = docker("ps", "--quiet", "--filter", f"ancestor={self.images.cpu}").stdout.split()
                        docker("kill", "--signal", "KILL", container)
                        return run_id
            time.sleep(0.05)
        raise AssertionError("no such training was seen in the midst of its epochs")


def _keys(s3: S3Server) -> dict[str, str]:
    return {
        "endpoint_url": s3.endpoint,
        "aws_access_key_id": s3.key,
        "aws_secret_access_key": s3.secret,
        "region_name": "us-east-1",
    }


@pytest.fixture(scope="module")
def team(images: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    from ferkit.data.sample import draw_csv

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


@dataclass(frozen=True)
class Finished:
    """A run of the whole DAG, and the candidate whose training was killed and tried again."""

    parent: Run
    killed: str


@pytest.fixture(scope="module")
def whole(team: Team) -> Finished:
    """The whole DAG, of which one candidate raises, and another is killed in training and tried again."""
    running = team.start("whole", retries=2)
    killed = team.kill_training("multi_kernel")
    assert running.wait() == 0, team.log("whole").read_text()[-6000:]
    [parent] = _parents(team)
    return Finished(parent, killed)


@pytest.fixture(scope="module")
def finished(whole: Finished) -> Run:
    """The parent run of the whole DAG."""
    return whole.parent


def _parents(team: Team) -> list[Run]:
    experiment = team.client.get_experiment_by_name("facial-expression")
    assert experiment is not None
    return list(team.client.search_runs([experiment.experiment_id], "tags.`run.kind` = 'pipeline'"))


def _children(team: Team, parent: Run) -> list[Run]:
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return list(team.client.search_runs([parent.info.experiment_id], query))


def _evaluated(team: Team, parent: Run) -> list[Run]:
    return [child for child in _children(team, parent) if child.data.tags[names.STATE] == "evaluated"]


def test_the_run_tree_is_whole(team: Team, finished: Run) -> None:
    assert finished.info.status == "FINISHED"
    evaluated = _evaluated(team, finished)
    assert {child.data.tags[names.ARCHITECTURE] for child in evaluated} == {"lenet", "multi_kernel", "ensemble"}
    assert {child.info.status for child in evaluated} == {"FINISHED"}
    for child in evaluated:
        assert 0 <= child.data.metrics["test/macro_f1"] <= 1


def test_a_candidate_that_raises_fails_alone_with_its_sentence(team: Team, finished: Run) -> None:
    [failed] = [child for child in _children(team, finished) if child.data.tags[names.STATE] == "failed"]
    assert failed.info.status == "FAILED"
    assert "train.backend: jax is not installed here" in failed.data.tags[names.FAILURE]


def test_a_killed_training_is_tried_again_in_the_same_run(team: Team, whole: Finished) -> None:
    steps = [point.step for point in team.client.get_metric_history(whole.killed, "train/loss")]
    assert steps == [*range(1, EPOCHS + 1)]
    assert team.client.get_run(whole.killed).data.tags[names.STATE] == "evaluated"


def test_every_evaluated_candidate_is_registered(team: Team, finished: Run) -> None:
    versions = team.client.search_model_versions("name = 'facial-expression'")
    assert {version.run_id for version in versions} == {child.info.run_id for child in _evaluated(team, finished)}


def test_a_run_whose_training_was_killed_for_good_is_resumed(team: Team, finished: Run) -> None:
    """Without retries the run fails, and its exit handler ends it; another pipeline run goes on in the same runs."""
    candidates = [{"architecture": "multi_kernel", "width": 0.125, "epochs": EPOCHS, "seed": 1}]
    running = team.start("killed", candidates=candidates)
    run_id = team.kill_training("multi_kernel")
    assert running.wait() != 0
    parent_id = team.client.get_run(run_id).data.tags["mlflow.parentRunId"]
    assert team.client.get_run(parent_id).info.status == "FAILED"
    assert team.run("resumed", parent_run_id=parent_id, candidates=candidates) == 0
    parent = team.client.get_run(parent_id)
    [child] = _children(team, parent)
    assert (parent.info.status, child.info.run_id, child.data.tags[names.STATE]) == ("FINISHED", run_id, "evaluated")
    assert [point.step for point in team.client.get_metric_history(run_id, "train/loss")] == [*range(1, EPOCHS + 1)]


def test_artifacts_are_in_the_bucket_and_can_be_loaded_from_there(team: Team, finished: Run) -> None:
    keys = [item["Key"] for item in team.bucket.list_objects_v2(Bucket="mlflow")["Contents"]]
    assert any(finished.info.run_id in key for key in keys)
    assert any(key.endswith("MLmodel") for key in keys)


def test_training_state_was_kept_under_the_prefix(team: Team, finished: Run) -> None:
    keys = [item["Key"] for item in team.bucket.list_objects_v2(Bucket="state", Prefix="training/")["Contents"]]
    assert any(finished.info.run_id in key for key in keys)


def test_a_search_of_six_trials_is_decided_trial_by_trial(team: Team) -> None:
    """Each trial is a container of its own, as it is a pod on a cluster."""
    rates = {"low": 0.0005, "high": 0.01, "log": True}
    space = {"architecture": "multi_kernel", "width": 0.125, "epochs": 1, "learning_rate": rates}
    search = {"space": space, "trials": 6, "finalists": 1}
    assert team.run("search", candidates=[], search=search) == 0, team.log("search").read_text()[-6000:]
    [parent] = [run for run in _parents(team) if "search/trials" in run.data.metrics]
    trials = [run for run in _children(team, parent) if names.SEARCH_RUN in run.data.tags]
    assert (parent.info.status, len(trials), parent.data.metrics["search/trials"]) == ("FINISHED", 6, 6)
    assert sorted(run.data.tags[names.STATE] for run in trials) == ["evaluated", *["trained"] * 5]
    assert len({run.data.params["learning_rate"] for run in trials}) == 6
    [record] = {run.data.tags[names.SEARCH_RUN] for run in trials}
    decided = [value for name, value in team.client.get_run(record).data.params.items() if "decision/" in name]
    assert {json.loads(value)["run_id"] for value in decided} == {run.info.run_id for run in trials}


def test_a_step_that_fails_fails_the_run_with_its_sentence(team: Team, finished: Run) -> None:
    assert team.run("failing", csv="s3://csvs/absent.csv") != 0
    assert "absent.csv" in team.log("failing").read_text()


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
