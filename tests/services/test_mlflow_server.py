"""The run tree on an MLflow server as a team runs one: PostgreSQL behind it, artifacts in an S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from mlflow_server import mlflow_server
from postgres import postgres_server
from swift import S3Server, swift_server

from components.close_run.close_run import close_run
from components.register.descriptions import LONGEST
from ferkit.errors import UserError
from ferkit.registry.model_page import describe_model
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NewCandidate, open_candidates, set_state
from ferkit.tracking.owner import Owner, claim, owners
from ferkit.tracking.store import LONGEST_TAG, connect
from ferkit.tracking.views import EXPERIMENT_TAGS
from pipeline.cluster import Cluster
from pipeline.kubeflow import RunConfig
from pipeline.parameters import Parameters
from pipeline.upload import with_uploaded_csv

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with swift_server(tmp_path_factory.mktemp("s3")) as s3:
        for bucket in ("mlflow", "csvs"):
            client_of(s3).create_bucket(Bucket=bucket)
        yield s3


@pytest.fixture(scope="module")
def address(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("services")
    with (
        postgres_server(folder) as postgres,
        mlflow_server(folder, postgres.store, "s3://mlflow/artifacts", s3.environment()) as address,
    ):
        yield address


def client_of(s3: S3Server) -> Any:
    keys = {"aws_access_key_id": s3.key, "aws_secret_access_key": s3.secret, "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=s3.endpoint, **keys)


def test_the_plugins_parent_is_adopted_and_not_its_tasks_run(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Kubeflow backend with the MLflow plugin opens a parent and, under it, a run for every task."""
    monkeypatch.setenv("MLFLOW_RUN_ID", "the-tasks-own-run")
    client = connect(address)
    experiment = tree.experiment_id(client, "from-the-plugin")
    parent = client.create_run(experiment, tags={names.PIPELINE_RUN_ID: "kfp-1"})
    task = {names.PIPELINE_RUN_ID: "kfp-1", "mlflow.parentRunId": parent.info.run_id}
    client.create_run(experiment, tags=task)
    found = tree.find_parent(client, Owner("kfp-1"), names.EXPERIMENT, plugins_experiment_id=experiment)
    assert found is not None
    assert found.info.run_id == parent.info.run_id


@pytest.mark.parametrize(
    ("state", "status"),
    [("COMPLETE", "FINISHED"), ("SUCCEEDED", "FINISHED"), ("FAILED", "FAILED"), ("CANCELLED", "KILLED")],
)
def test_every_open_run_of_the_tree_is_closed(address: str, state: str, status: str) -> None:
    client = connect(address)
    experiment = tree.experiment_id(client, "closing")
    owner = Owner(f"kfp-{state}")
    parent = client.create_run(experiment, tags={names.PIPELINE_RUN_ID: owner.id, names.RUN_KIND: "pipeline"})
    claim(client, parent, owner)
    candidates = [NewCandidate(name, name, "lenet", {"seed": 0}) for name in ("lenet-s0", "lenet-s1")]
    evaluated, waiting = open_candidates(client, parent, candidates)
    assert open_candidates(client, parent, candidates) == [evaluated, waiting]
    set_state(client, evaluated, names.State.EVALUATED)
    close_run(client, client.get_run(parent.info.run_id), owner, state, "because")
    statuses = [client.get_run(run_id).info.status for run_id in (parent.info.run_id, evaluated, waiting)]
    assert statuses == [status, "FINISHED", "KILLED" if status == "FINISHED" else status]


def test_of_two_that_found_a_run_free_one_gets_it(address: str) -> None:
    client = connect(address)
    free = client.create_run(tree.experiment_id(client, "claimed"))
    claim(client, free, Owner("first"))
    with pytest.raises(UserError, match="another command took it over at this moment"):
        claim(client, free, Owner("second"))
    assert [owner.id for owner in owners(client.get_run(free.info.run_id))] == ["first"]


def test_artifacts_go_through_the_server_without_keys(address: str, tmp_path: Path) -> None:
    client = connect(address)
    run = client.create_run(tree.experiment_id(client, "artifacts"))
    client.log_text(run.info.run_id, "seven", "deep/text.txt")
    assert run.info.artifact_uri is not None
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    [item] = client.list_artifacts(run.info.run_id, "deep")
    assert Path(client.download_artifacts(run.info.run_id, item.path, str(tmp_path))).read_text() == "seven"


def test_a_csv_of_this_machine_is_put_under_the_prefix_once(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    csv = tmp_path / "faces.csv"
    csv.write_text("emotion,pixels,Usage\n")
    asked = RunConfig(Parameters.parse({"csv": str(csv)}), Cluster())
    address = with_uploaded_csv(asked, "s3://csvs/team").parameters.csv
    [item] = client_of(s3).list_objects_v2(Bucket="csvs")["Contents"]
    assert address == f"s3://csvs/{item['Key']}"
    assert item["Key"].startswith("team/")
    with_uploaded_csv(asked, "s3://csvs/team")
    [again] = client_of(s3).list_objects_v2(Bucket="csvs")["Contents"]
    assert again["LastModified"] == item["LastModified"]
    with pytest.raises(UserError, match=r"s3://absent/.*check the bucket"):
        with_uploaded_csv(asked, "s3://absent/team")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    boto3.setup_default_session()  # which has read the right one
    with pytest.raises(UserError, match="check the bucket, and the keys") as refused:
        with_uploaded_csv(asked, "s3://csvs/other")
    assert s3.key not in str(refused.value)


def test_the_longest_descriptions_and_tags_that_are_written_fit_into_its_columns(address: str) -> None:
    """SQLite keeps texts of any length; PostgreSQL refuses what is longer than its column, in characters."""
    client = connect(address)
    longest = "ü" * LONGEST
    client.create_registered_model("longest", description=describe_model("longest"))
    experiment_id = tree.experiment_id(client, "longest")
    run_id = client.create_run(experiment_id, tags={"mlflow.note.content": longest}).info.run_id
    client.set_tag(run_id, names.FAILURE, "ü" * LONGEST_TAG)
    client.log_param(run_id, "candidates", "ü" * tree.LONGEST_PARAMETER)
    client.create_model_version("longest", "s3://nowhere/model", run_id)
    client.update_model_version("longest", "1", description=longest)
    client.set_model_version_tag("longest", "1", names.VALIDATION_REASONS, "ü" * LONGEST_TAG)

    version, run = client.get_model_version("longest", "1"), client.get_run(run_id)
    assert version.description == run.data.tags["mlflow.note.content"] == longest
    assert len(version.tags[names.VALIDATION_REASONS]) == LONGEST_TAG
    assert len(run.data.params["candidates"]) == tree.LONGEST_PARAMETER
    assert client.get_registered_model("longest").description == describe_model("longest")
    assert client.get_experiment(experiment_id).tags.items() >= EXPERIMENT_TAGS.items()
