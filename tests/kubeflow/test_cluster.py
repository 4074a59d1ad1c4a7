"""What the cluster section and the images' addresses may be, and what is said when they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from compiled_pipeline import Compiled

from ferkit.errors import UserError
from pipeline.cluster import LONGEST_WAIT, Cluster
from pipeline.kubeflow import check_reachable, check_tracking, immutable_images, read_run_config
from pipeline.step_resources import STEPS
from pipeline.task_settings import LONGEST_SECONDS

DIGEST = f"registry.example/fer-pipeline@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gpus": {}}, r"cluster\.gpus: no such parameter; did you mean 'gpu'\?"),
        ({"gpu": {"typ": "nvidia.com/gpu"}}, r"cluster\.gpu\.typ: no such parameter; did you mean 'type'\?"),
        ({"gpu": {"count": -1}}, r"cluster\.gpu\.count: .*\(received -1\)"),
        ({"gpu": 2}, r"cluster\.gpu: takes `name: value` lines \(received 2\)"),
        ({"steps": {"trian": {}}}, r"cluster\.steps\.trian: no such step; did you mean 'train'\?"),
        (
            {"steps": {"train": {"memory": "8 GB"}}},
            r"steps\.train\.memory: memory is a whole number .*\(received '8 GB'\)",
        ),
        ({"steps": {"train": {"cpu": "four"}}}, r"cluster\.steps\.train\.cpu: .*\(received 'four'\)"),
        ({"steps": {"train": {"cpu": ""}}}, r"cluster\.steps\.train\.cpu: cores are a number"),
        ({"steps": {"train": {"memory": ""}}}, r"cluster\.steps\.train\.memory: memory is a whole number"),
        ({"scratch": "10GB"}, r"cluster\.scratch: a size is a whole number .*\(received '10GB'\)"),
        ({"shared_memory": "lots"}, r"cluster\.shared_memory: a size is a whole number .*\(received 'lots'\)"),
        ({"gpu": {"type": ""}}, r"cluster\.gpu\.type: "),
        ({"state": {"claim": "My Claim", "mount": "/state"}}, r"cluster\.state\.claim: "),
        ({"data": {"claim": "csvs", "mount": "/tmp/"}}, r"cluster\.data\.mount: cluster\.scratch is there"),
        ({"state": {"claim": "c", "mount": "/"}}, r"cluster\.state\.mount: "),
        ({"tolerations": [{"effect": "NoSchedule"}]}, r"cluster\.tolerations\[0\]\.key: Field required"),
        (
            {"tolerations": [{"key": "a", "effect": "Never"}]},
            r"cluster\.tolerations\[0\]\.effect: .*\(received 'Never'\)",
        ),
        ({"secrets": [{"name": "s3", "keys": {}}]}, r"cluster\.secrets\[0\]\.keys: "),
        ({"secrets": [{"name": "s3", "keys": {"a": "A"}, "steps": ["trian"]}]}, r"did you mean 'train'\?"),
        ({"state": {"claim": "c", "mount": "state"}}, r"cluster\.state\.mount: .*\(received 'state'\)"),
        ({"state_prefix": "/mnt/state"}, r"cluster\.state_prefix: .*\(received '/mnt/state'\)"),
        ({"retry": {"factor": 1.5}}, r"cluster\.retry\.factor: .*integer.*\(received 1\.5\)"),
        ({"retry": {"longest": 5}}, r"cluster\.retry\.longest: no such parameter"),
        (
            {"steps": {"train": {"retries": 20}}},
            r"cluster\.steps\.train\.retries: .* 4369 hours, .* cluster\.retry\.factor",
        ),
        ({"deadline_hours": 0}, r"cluster\.deadline_hours: .*\(received 0\)"),
        ({"state": {"claim": "c", "mount": "/s"}, "state_prefix": "s3://b/p"}, r"set one of them"),
    ],
)
def test_a_wrong_setting_is_named(values: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Cluster.parse(values)


def test_a_steps_value_takes_the_place_of_that_steps_default_only() -> None:
    steps = Cluster.parse({"steps": {"train": {"memory": "64Gi"}}}).steps
    assert steps["train"].memory == "64Gi"
    assert steps["train"].cpu == STEPS["train"].cpu
    assert steps["ingest"] == STEPS["ingest"]
    assert Cluster.parse({"steps": {"train": {"cpu": 0.5}}}).steps["train"].cpu == "0.5"


def test_many_attempts_are_taken_where_the_wait_does_not_grow() -> None:
    cluster = Cluster.parse({"steps": {"train": {"retries": 20}}, "retry": {"factor": 1}})
    assert cluster.steps["train"].retries == 20


def test_no_attempts_take_longer_than_argo_is_told() -> None:
    """Argo ends a healthy attempt, or begins no further one, once that time has passed since the first one's start."""
    longest = max(step.timeout_minutes * 60 * (1 + step.retries) for step in STEPS.values())
    assert longest + 20 * LONGEST_WAIT < LONGEST_SECONDS < 2**31


def test_a_runs_limits_are_compiled_in(compiled: Compiled) -> None:
    _, platforms = yaml.safe_load_all(compiled.path.read_text())
    limits = platforms["platforms"]["kubernetes"]["pipelineConfig"]
    assert limits == {"activeDeadlineSeconds": 48 * 3600, "resourceTtlOnCompletion": 2 * 3600}


def test_a_setting_of_an_earlier_version_is_taken_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"cluster": {"retry": {"wait_seconds": 5, "longest_seconds": 600}}}))
    asked = read_run_config("s3://b/f.csv", path)
    assert asked.cluster.retry.wait_seconds == 5
    [sentence] = asked.outdated
    assert sentence.startswith("cluster.retry.longest_seconds: no longer used")
    assert read_run_config("s3://b/f.csv", None).outdated == ()


@pytest.mark.parametrize(
    ("setting", "emptied"),
    [
        ("service_account", ""),
        ("shared_memory", ""),
        ("tolerations", []),
        ("node_selector", {}),
        ("state", None),
        ("steps.train.memory_limit", ""),
    ],
)
def test_an_empty_value_empties_a_setting(tmp_path: Path, setting: str, emptied: Any) -> None:
    path = tmp_path / "config.yaml"
    given = {
        "service_account": "trainer",
        "node_selector": {"pool": "a100"},
        "state": {"claim": "c", "mount": "/state"},
    }
    path.write_text(yaml.safe_dump({"cluster": given}))
    found: Any = read_run_config("s3://b/f.csv", path, [f"cluster.{setting}="]).cluster.model_dump()
    for part in setting.split("."):
        found = found[part]
    assert found == emptied


def test_a_number_cannot_be_emptied() -> None:
    with pytest.raises(UserError, match=r"cluster\.gpu\.count: .*\(received None\)"):
        read_run_config("s3://b/f.csv", None, ["cluster.gpu.count="])


def test_training_state_lies_where_told() -> None:
    assert Cluster.parse({"state": {"claim": "c", "mount": "/state"}}).state_dir == "/state"
    assert Cluster.parse({"state_prefix": "s3://bucket/state"}).state_dir == "s3://bucket/state"


def test_a_config_file_and_assignments_reach_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"train": {"epochs": 3}, "cluster": {"gpu": {"count": 4}}}))
    asked = read_run_config("s3://b/f.csv", path, ["cluster.steps.train.memory=48Gi", "train.seed=7"])
    assert (asked.parameters.train.epochs, asked.parameters.train.seed) == (3, 7)
    assert (asked.cluster.gpu.count, asked.cluster.steps["train"].memory) == (4, "48Gi")
    assert asked.parameters.csv == "s3://b/f.csv"
    assert read_run_config(None, None, ["csv=s3://b/f.csv"]).parameters.candidates == asked.parameters.candidates
    with pytest.raises(UserError, match=r"train\.seed: every candidate sets seed itself"):
        read_run_config("s3://b/f.csv", path, ["candidates=[{architecture: lenet, seed: 1}]", "train.seed=7"])


@pytest.mark.parametrize(
    "address",
    [
        "registry.example/fer-pipeline",
        "registry.example:5000/fer-pipeline",
        "registry.example/fer-pipeline:latest",
        "registry.example/fer-pipeline:main",
        "registry.example/fer-pipeline:v1",
        "registry.example/fer-pipeline:1.2",
        "registry.example/fer-pipeline:feedback",
        "registry.example/fer-pipeline:20261120-nightly",
        "registry.example/fer-pipeline:1.2.3-latest",
        "registry.example/fer-pipeline:0123abcd-dirty",
        "registry.example/fer-pipeline@sha256:0123",
        "registry.example/fer pipeline:0123abcd",
        "",
    ],
)
def test_an_image_that_may_come_to_mean_another_is_refused(address: str) -> None:
    with pytest.raises(UserError, match=r"--image: .*use a digest"):
        immutable_images(address)


def test_immutable_images_are_taken() -> None:
    assert immutable_images("registry.example:5000/f:0123abcd").gpu == "registry.example:5000/f:0123abcd-gpu"
    assert immutable_images("f:1.2.3").cpu == "f:1.2.3"
    assert immutable_images(DIGEST, DIGEST).gpu == DIGEST


def test_a_digest_alone_does_not_name_the_training_image() -> None:
    with pytest.raises(UserError, match="--gpu-image: name the training image"):
        immutable_images(DIGEST)


def test_a_mutable_training_image_is_refused() -> None:
    with pytest.raises(UserError, match="--gpu-image: the tag 'latest'"):
        immutable_images(DIGEST, "registry.example/f:latest")


@pytest.mark.parametrize("csv", ["sample", "s3://b/f.csv", "https://host/f.csv", "sample://?faces=700&seed=1"])
def test_a_csv_that_pods_can_read_is_taken(csv: str) -> None:
    check_reachable(csv, Cluster())


def test_a_csv_of_this_machine_is_refused_with_the_cure() -> None:
    with pytest.raises(UserError, match=r"fer\.csv: .* --upload s3://bucket/prefix"):
        check_reachable("data/fer.csv", Cluster())


def test_a_csv_on_the_clusters_volume_is_taken() -> None:
    cluster = Cluster.parse({"data": {"claim": "c", "mount": "/data"}})
    check_reachable("/data/fer.csv", cluster)
    with pytest.raises(UserError):
        check_reachable("/database/fer.csv", cluster)


@pytest.mark.parametrize("csv", ["https://ann:planted@host/f.csv", "https://host/f.csv?X-Amz-Signature=planted"])
def test_an_address_that_holds_a_secret_is_refused_without_repeating_it(csv: str) -> None:
    with pytest.raises(UserError, match=r"cluster\.secrets") as refused:
        check_reachable(csv, Cluster())
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("address", ["https://ann:planted@mlflow.example", "http://mlflow.example/?token=planted"])
def test_an_mlflow_address_that_holds_a_secret_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(UserError, match=r"cluster\.secrets") as refused:
        check_tracking(address)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize("values", ["text", ["x"], {"tolerations": 5}, {"secrets": {"name": "a"}}])
def test_settings_of_another_kind_are_one_sentence(values: Any) -> None:
    with pytest.raises(UserError, match=r"^cluster"):
        Cluster.parse(values)


@pytest.mark.parametrize("tracking_uri", ["", "sqlite:///mlflow.db", "./mlruns"])
def test_an_mlflow_that_every_pod_would_have_alone_is_refused(tracking_uri: str) -> None:
    with pytest.raises(UserError, match="use the address of a server"):
        check_tracking(tracking_uri)
