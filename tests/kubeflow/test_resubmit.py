"""`ferpipe submit --resume`: a new pipeline run that goes on in the MLflow run of an earlier one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import Result
from compiled_pipeline import CODE_VERSION, Submit
from kubeflow_api import KubeflowApi, Played

from ferkit.tracking import names
from ferkit.tracking.owner import Owner, claim
from ferkit.tracking.store import connect
from pipeline.parameters import Parameters

OWN = {"csv": "s3://faces/f.csv", "train": {"epochs": 3}, "candidates": [{"architecture": "lenet", "seed": 7}]}


@pytest.fixture
def earlier(api: KubeflowApi, submit: Submit, mlflow_address: str, request: pytest.FixtureRequest) -> str:
    """The MLflow run of a pipeline run that failed."""
    experiment = request.node.name[:100]
    submit("--csv", "s3://faces/f.csv")
    [run] = api.runs
    api.play = [Played("FAILED", {"train[0]": "Failed: pod deleted"})]
    client = connect(mlflow_address)
    tags = {names.PIPELINE_RUN_ID: run.run_id, names.RUN_KIND: "pipeline", names.WEIGHTS_VERSION: CODE_VERSION}
    parent = client.create_run(client.create_experiment(experiment), tags=tags).info.run_id
    claim(client, client.get_run(parent), Owner(run.run_id))
    client.log_dict(parent, Parameters.parse(OWN | {"experiment": experiment}).dump(), "parameters.yaml")
    client.set_terminated(parent, "FAILED")
    return parent


def one_sentence(result: Result) -> str:
    assert result.exit_code == 1, result.output
    [line] = [line for line in result.stderr.strip().splitlines() if not line.startswith("Warning")]
    return line


def test_goes_on_with_the_runs_own_parameters(
    api: KubeflowApi, submit: Submit, earlier: str, mlflow_address: str
) -> None:
    result = submit("--resume", earlier, tracking_uri=mlflow_address)
    assert result.exit_code == 0, result.output
    parameters = api.runs[-1].runtime_config["parameters"]
    assert parameters["parent_run_id"] == earlier
    assert (parameters["csv"], parameters["train"]["epochs"]) == ("s3://faces/f.csv", 3)
    assert parameters["candidates"] == [{"architecture": "lenet", "seed": 7}]
    # The plugin must not open a parent of its own beside the one that is adopted.
    assert api.runs[-1].plugins_input == {"mlflow": {"disabled": True}}


def test_takes_the_clusters_settings_as_they_are_now(
    api: KubeflowApi, submit: Submit, earlier: str, mlflow_address: str, tmp_path: Path
) -> None:
    config = tmp_path / "cluster.yaml"
    config.write_text(yaml.safe_dump(OWN | {"cluster": {"state_prefix": "s3://faces/state"}}))
    arguments = ("--config", str(config), "--set", "cluster.service_account=trainer")
    result = submit("--resume", earlier, *arguments, tracking_uri=mlflow_address)
    assert result.exit_code == 0, result.output
    assert api.runs[-1].service_account == "trainer"
    assert api.runs[-1].runtime_config["parameters"]["state_dir"] == "s3://faces/state"
    assert "Warning" not in result.stderr


def test_says_that_trainings_start_again_where_nothing_kept_them(
    submit: Submit, earlier: str, mlflow_address: str
) -> None:
    result = submit("--resume", earlier, tracking_uri=mlflow_address)
    assert "Warning: unfinished trainings start again" in result.stderr


def test_refuses_other_parameters(submit: Submit, earlier: str, mlflow_address: str, tmp_path: Path) -> None:
    config = tmp_path / "other.yaml"
    config.write_text(yaml.safe_dump({"train": {"epochs": 30}}))
    said = one_sentence(submit("--resume", earlier, "--config", str(config), tracking_uri=mlflow_address))
    assert "train.epochs is 30 there and 3 in the run" in said
    said = one_sentence(submit("--resume", earlier, "--set", "train.epochs=3", tracking_uri=mlflow_address))
    assert "a resumed run keeps its own parameters" in said
    assert submit("--resume", earlier, "--csv", "s3://faces/other.csv", tracking_uri=mlflow_address).exit_code == 2


@pytest.mark.parametrize("state", ["RUNNING", "CANCELING"])
def test_refuses_a_run_that_lives_by_name(
    api: KubeflowApi, submit: Submit, earlier: str, mlflow_address: str, state: str
) -> None:
    api.play = [Played(state, {"train[0]": "Running"})]
    said = one_sentence(submit("--resume", earlier, tracking_uri=mlflow_address))
    assert f"run {earlier} lives: its pipeline run {api.runs[0].run_id} is {state}" in said
    assert len(api.runs) == 1


@pytest.mark.parametrize(
    ("tags", "status", "sentence"),
    [
        ({}, "FINISHED", "ended well; there is nothing to resume"),
        (
            {names.WEIGHTS_VERSION: "other", names.GIT_COMMIT: "abc123"},
            "FAILED",
            "trained by other code than this (commit abc123)",
        ),
    ],
)
def test_refuses_what_cannot_go_on(
    submit: Submit, earlier: str, mlflow_address: str, tags: dict[str, str], status: str, sentence: str
) -> None:
    client = connect(mlflow_address)
    for name, value in tags.items():
        client.set_tag(earlier, name, value)
    client.update_run(earlier, status=status)
    assert sentence in one_sentence(submit("--resume", earlier, tracking_uri=mlflow_address))


@pytest.mark.parametrize(
    ("owner", "sentence"),
    [
        (Owner("a-command", "/home/ann/lock"), "go on there with ferpipe run --resume"),
        (Owner("of-another-kubeflow"), "this Kubeflow does not know its pipeline run of-another-kubeflow"),
    ],
)
def test_refuses_what_runs_elsewhere(
    submit: Submit, earlier: str, mlflow_address: str, owner: Owner, sentence: str
) -> None:
    client = connect(mlflow_address)
    claim(client, client.get_run(earlier), owner)
    client.update_run(earlier, status="RUNNING")
    assert sentence in one_sentence(submit("--resume", earlier, tracking_uri=mlflow_address))


def test_ends_in_mlflow_what_had_ended_but_there(submit: Submit, earlier: str, mlflow_address: str) -> None:
    """Its exit handler could not; the step that opens the run takes over none that is open."""
    client = connect(mlflow_address)
    client.update_run(earlier, status="RUNNING")
    assert submit("--resume", earlier, tracking_uri=mlflow_address).exit_code == 0
    run = client.get_run(earlier)
    assert (run.info.status, run.data.tags[names.FAILURE]) == ("FAILED", "train 1: pod deleted")


def test_a_run_that_kubeflow_has_forgotten_goes_on(
    api: KubeflowApi, submit: Submit, earlier: str, mlflow_address: str
) -> None:
    api.runs.clear()
    assert submit("--resume", earlier, tracking_uri=mlflow_address).exit_code == 0


def test_refuses_a_run_that_is_not_there(submit: Submit, mlflow_address: str) -> None:
    said = one_sentence(submit("--resume", "0" * 32, tracking_uri=mlflow_address))
    assert "not a pipeline run of this MLflow" in said


def test_needs_an_mlflow_that_answers_from_here(submit: Submit) -> None:
    assert "does not answer from here; submit it from where" in one_sentence(submit("--resume", "0" * 32))


def test_a_schedule_resumes_nothing(submit: Submit) -> None:
    assert submit("--resume", "0" * 32, "--cron", "0 5 * * 1").exit_code == 2
