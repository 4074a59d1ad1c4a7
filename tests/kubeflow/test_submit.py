"""`ferpipe submit` against a server that answers as Kubeflow's API does, through the real client."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from compiled_pipeline import IMAGE, MLFLOW, SECRETS, Submit
from kubeflow_api import STACK, KubeflowApi, Played

from pipeline.backend import digest_of, six_fields
from pipeline.cli import cli

TOKEN = SECRETS["KFP_TOKEN"]


def test_a_run_is_started_with_every_parameter(submit: Submit, api: KubeflowApi) -> None:
    result = submit("--csv", "s3://faces/f.csv", "--set", "train.epochs=3", "--name", "first", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    [run] = api.runs
    assert said["id"] == run.run_id
    assert said["address"] == f"{api.host}/#/runs/details/{run.run_id}"
    assert run.display_name == "first"
    parameters = run.runtime_config["parameters"]
    assert (parameters["csv"], parameters["train"]["epochs"]) == ("s3://faces/f.csv", 3)
    assert parameters["tracking_uri"] == MLFLOW
    assert "code_version" not in parameters  # compiled in, for each step its own
    assert run.experiment_id == api.experiments[0].experiment_id
    assert api.experiments[0].display_name == "facial-expression"


def test_name_note_and_tags_reach_the_mlflow_run_and_make_no_new_version(submit: Submit, api: KubeflowApi) -> None:
    submit("--name", "mixup", "--note", "Against **last week's**.", "--tag", "ticket=FER-12")
    submit()
    assert api.runs[0].runtime_config["parameters"]["labels"] == {
        "name": "mixup",
        "note": "Against **last week's**.",
        "tags": {"ticket": "FER-12"},
    }
    assert api.runs[1].runtime_config["parameters"]["labels"] == {}
    assert len(api.versions) == 1
    refused = submit("--tag", "mlflow.user=ann")
    assert refused.exit_code != 0
    assert "mlflow.user is a tag that the pipeline or MLflow sets" in refused.output
    assert len(api.runs) == 2


def test_the_run_names_the_version_that_was_uploaded(submit: Submit, api: KubeflowApi) -> None:
    submit()
    reference = api.runs[0].pipeline_version_reference
    assert reference["pipeline_version_id"] == api.versions[0].pipeline_version_id
    spec = api.versions[0].pipeline_spec
    assert spec["pipeline_spec"]["pipelineInfo"]["name"] == "facial-expression"
    assert IMAGE in json.dumps(spec)


def test_the_same_pipeline_is_uploaded_once(submit: Submit, api: KubeflowApi) -> None:
    submit("--csv", "s3://faces/f.csv")
    submit("--csv", "s3://faces/other.csv", "--set", "train.epochs=3")
    assert (len(api.pipelines), len(api.versions), len(api.runs)) == (1, 1, 2)


def test_other_cluster_settings_are_a_new_version_of_the_same_pipeline(submit: Submit, api: KubeflowApi) -> None:
    submit()
    submit("--set", "cluster.gpu.count=4")
    submit("--no-cache")
    assert (len(api.pipelines), len(api.versions)) == (1, 3)
    assert "enableCache" not in json.dumps(api.versions[2].pipeline_spec)


def test_the_service_account_is_the_clusters(submit: Submit, api: KubeflowApi) -> None:
    submit("--set", "cluster.service_account=trainer")
    assert api.runs[0].service_account == "trainer"


def test_waiting_says_what_happens_and_ends_well(submit: Submit, api: KubeflowApi) -> None:
    result = submit("--wait")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[2:] == [
        "locate: running",
        "locate: succeeded",
        "ingest: running",
        "ingest: succeeded",
        "close_run: succeeded",
        "succeeded",
    ]


def test_a_failed_run_ends_with_status_1_and_the_steps_sentence(submit: Submit, api: KubeflowApi) -> None:
    sentence = "main: Error (exit code 1): ingest: f.csv: row 7 has 2,303 pixels"
    api.play = [
        Played("PENDING"),
        Played("RUNNING", {"ingest": "Running"}),
        Played("FAILED", {"ingest": [f"Failed: {sentence}", f"Failed: {sentence}"], "close-run": "Succeeded"}),
    ]
    result = submit("--wait")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "failed: ingest: f.csv: row 7 has 2,303 pixels"


def test_a_step_that_ran_out_of_memory_is_named_as_such(submit: Submit, api: KubeflowApi) -> None:
    api.play = [Played("FAILED", {"train[0]": "Failed: main: OOMKilled (exit code 137)"})]
    result = submit("--wait", "--json")
    assert result.exit_code == 1
    why = "train 1: killed for memory (OOMKilled); raise cluster.steps.train.memory_limit"
    assert json.loads(result.stdout)["why"] == why


def test_a_run_whose_deadline_passed_says_so(submit: Submit, api: KubeflowApi) -> None:
    api.play = [Played("FAILED", {"ingest": "Succeeded"}, message="Step exceeded its deadline")]
    assert submit("--wait").stderr.splitlines()[-1] == "failed: Step exceeded its deadline"


@pytest.mark.parametrize(
    "play",
    [
        [Played("CANCELING", {"ingest": "Running"}), Played("FAILED", {"ingest": "Failed: terminated"})],
        [Played("FAILED", {"ingest": "Failed: terminated"}, meanwhile=("RUNNING", "CANCELING"))],
    ],
    ids=["seen", "told by its history"],
)
def test_a_terminated_run_ends_with_status_3(submit: Submit, api: KubeflowApi, play: list[Played]) -> None:
    api.play = play
    result = submit("--wait", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["state"] == "CANCELED"


def test_a_run_that_was_terminated_retried_and_failed_has_failed(submit: Submit, api: KubeflowApi) -> None:
    api.play = [Played("FAILED", {"ingest": "Failed"}, meanwhile=("RUNNING", "CANCELING", "FAILED", "RUNNING"))]
    assert submit("--wait").exit_code == 1


def test_a_backend_that_is_away_for_a_moment_is_waited_for(submit: Submit, api: KubeflowApi) -> None:
    api.broken[("GET", "/runs/")] = (503, "no healthy upstream")
    threading.Timer(0.5, lambda: api.broken.pop(("GET", "/runs/"), None)).start()
    assert submit("--wait").exit_code == 0


def test_a_schedule_is_made_and_replaced_by_its_name(submit: Submit, api: KubeflowApi) -> None:
    assert submit("--cron", "30 4 * * 1", "--name", "weekly").exit_code == 0
    [first] = api.recurring_runs
    assert first.trigger["cron_schedule"]["cron"] == "0 30 4 * * 1"
    assert (int(first.max_concurrency), first.no_catchup, first.mode) == (1, True, "ENABLE")
    assert first.plugins_input == {"mlflow": {"experiment_name": "facial-expression"}}
    assert submit("--cron", "0 5 * * 1", "--name", "weekly").exit_code == 0
    [second] = api.recurring_runs
    assert second.trigger["cron_schedule"]["cron"] == "0 0 5 * * 1"
    assert api.runs == []


def test_a_schedule_with_a_run_in_progress_is_disabled_and_goes_when_that_has_ended(
    submit: Submit, api: KubeflowApi
) -> None:
    submit("--cron", "30 4 * * 1", "--name", "weekly")
    [first] = api.recurring_runs
    submit()
    [run] = api.runs
    run.recurring_run_id, run.state = first.recurring_run_id, "RUNNING"
    result = submit("--cron", "0 5 * * 1", "--name", "weekly")
    assert result.exit_code == 0
    assert "Warning: schedule weekly: the one before is disabled; it is kept" in result.stderr
    assert run.run_id in result.stderr
    assert [schedule.mode for schedule in api.recurring_runs] == ["DISABLE", "ENABLE"]
    run.state = "SUCCEEDED"
    result = submit("--cron", "0 6 * * 1", "--name", "weekly")
    assert "Warning" not in result.stderr
    [left] = api.recurring_runs
    assert left.trigger["cron_schedule"]["cron"] == "0 0 6 * * 1"


def test_the_mlflow_plugin_is_told_the_experiment(submit: Submit, api: KubeflowApi) -> None:
    submit("--set", "experiment=faces")
    assert api.runs[0].plugins_input == {"mlflow": {"experiment_name": "faces"}}


def test_a_service_account_is_taken_back_by_an_empty_value(submit: Submit, api: KubeflowApi, config: Path) -> None:
    submit("--config", str(config), "--set", "cluster.service_account=")
    assert api.runs[0].service_account is None


def test_an_old_setting_is_taken_with_a_warning(submit: Submit, api: KubeflowApi) -> None:
    result = submit("--set", "cluster.retry.longest_seconds=600")
    assert result.exit_code == 0
    assert "Warning: cluster.retry.longest_seconds: no longer used" in result.stderr
    assert "315360000s" in json.dumps(api.versions[0].pipeline_spec)


def test_five_and_six_fields_are_taken() -> None:
    assert six_fields("*/5 * * * *") == "0 */5 * * * *"
    assert six_fields("0 0 9 ? * 2-6") == "0 0 9 ? * 2-6"
    assert six_fields("@daily") == "@daily"


def one_sentence(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    [line] = result.stderr.strip().splitlines()
    assert "Traceback" not in line
    return line


def test_a_wrong_token_is_one_sentence(submit: Submit, api: KubeflowApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_TOKEN", "expired")
    said = one_sentence(submit())
    assert "we are not let in (there is no user identity header: Unauthenticated)" in said
    assert "expired" not in said.replace("has not expired", "")
    assert api.pipelines == []


def test_a_token_file_is_taken_before_the_environment(
    submit: Submit, api: KubeflowApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("KFP_TOKEN", "expired")
    assert submit("--token-file", str(file)).exit_code == 0


def test_the_service_accounts_token_is_found_in_a_pod(
    submit: Submit, api: KubeflowApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    monkeypatch.delenv("KFP_TOKEN")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    assert submit().exit_code == 0


def test_cookies_are_sent(submit: Submit, api: KubeflowApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.token = ""
    monkeypatch.delenv("KFP_TOKEN")
    monkeypatch.setenv("KFP_COOKIES", "oauth2_proxy_kubeflow=1f")
    assert submit().exit_code == 0
    assert set(api.cookies) == {"oauth2_proxy_kubeflow=1f"}


def test_a_server_that_is_down_is_one_sentence(submit: Submit, api: KubeflowApi) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    said = one_sentence(submit(host=host))
    assert f"{host}: does not answer" in said
    assert "check --host" in said


def test_a_name_that_nobody_knows_is_one_sentence(submit: Submit, api: KubeflowApi) -> None:
    assert "does not answer" in one_sentence(submit(host="http://kubeflow.invalid"))


def test_a_login_page_is_one_sentence(submit: Submit, api: KubeflowApi) -> None:
    api.broken[("GET", "healthz")] = (200, "<html><title>Log in to Dex</title></html>")
    said = one_sentence(submit())
    assert "not as a Kubeflow Pipelines API" in said
    assert "--cookies-file" in said


def test_a_forbidden_namespace_is_one_sentence(submit: Submit, api: KubeflowApi) -> None:
    api.broken[("POST", "experiments")] = (403, json.dumps({"message": "user ann is not authorized"}))
    assert "not allowed (user ann is not authorized)" in one_sentence(submit())


def test_some_other_server_is_one_sentence(submit: Submit, api: KubeflowApi) -> None:
    assert "no such thing there" in one_sentence(submit(host=f"{api.host}/elsewhere"))


def test_a_kubeflow_of_many_users_wants_a_namespace(submit: Submit, api: KubeflowApi) -> None:
    api.multi_user = True
    assert "say whose with --namespace" in one_sentence(submit())
    assert submit("--namespace", "ann").exit_code == 0
    assert api.experiments[0].namespace == "ann"


def test_a_namespace_is_ignored_by_a_kubeflow_of_one_user(submit: Submit, api: KubeflowApi) -> None:
    result = submit("--namespace", "ann")
    assert result.exit_code == 0
    assert "Warning: --namespace ann: ignored, for this Kubeflow has one user" in result.stderr
    assert api.experiments[0].namespace == ""


def test_a_refusal_is_its_reason_without_the_servers_stack(submit: Submit, api: KubeflowApi) -> None:
    said = f"Failed to create a pipeline version: {STACK}]: Invalid input error: the file holds no pipeline"
    api.broken[("POST", "upload_version")] = (400, json.dumps({"message": said}))
    assert one_sentence(submit()).endswith("refused with status 400: the file holds no pipeline")


def test_a_mutable_image_is_refused_before_anything_is_sent(submit: Submit, api: KubeflowApi) -> None:
    said = one_sentence(submit("--image", "registry.example/fer-pipeline:latest"))
    assert "the tag 'latest' may point to another image later" in said
    assert api.cookies == []


def test_a_csv_of_this_machine_is_refused_before_anything_is_sent(submit: Submit, api: KubeflowApi) -> None:
    assert "--upload s3://bucket/prefix" in one_sentence(submit("--csv", "faces.csv"))
    assert api.cookies == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "cluster.gpu.typ=x"], "cluster.gpu.typ: no such parameter; did you mean 'type'?"),
        (["--set", "cluster.gpu"], "write name=value"),
        (["--set", "train.epoch=3"], "did you mean 'train.epochs'?"),
        (["--cron", "every monday"], "has 2 fields"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["--upload", "bucket"], "use s3://bucket/prefix"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    submit: Submit, api: KubeflowApi, arguments: list[str], sentence: str
) -> None:
    assert sentence in one_sentence(submit(*arguments))
    assert api.cookies == []


def test_a_schedule_cannot_be_waited_for(submit: Submit, api: KubeflowApi) -> None:
    assert submit("--cron", "0 5 * * 1", "--wait").exit_code == 2


def test_two_processes_make_the_same_version(tmp_path: Path) -> None:
    files = []
    for seed in ("1", "2"):
        files.append(tmp_path / f"{seed}.yaml")
        command = [sys.executable, "-m", "pipeline.cli", "compile", "--image", IMAGE, "--tracking-uri", MLFLOW]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([*command, "--out", str(files[-1])], check=True, capture_output=True, env=environment)
    one, other = files
    assert one.read_bytes() != other.read_bytes()  # kfp writes the defaults into comments, in any order
    assert digest_of(one) == digest_of(other)
    other.write_text(other.read_text().replace("memoryLimit: 16.0", "memoryLimit: 17.0").replace("16Gi", "17Gi"))
    assert digest_of(one) != digest_of(other)


def test_compile_writes_the_file_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "pipeline.yaml"
    result = CliRunner().invoke(
        cli, ["compile", "--image", IMAGE, "--tracking-uri", MLFLOW, "--out", str(out), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"file": str(out), "image": IMAGE, "gpu_image": f"{IMAGE}-gpu"}
    assert out.exists()


def test_compile_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kfp import compiler

    def break_off(self: object, pipeline: object, package_path: str, **_: object) -> None:
        Path(package_path).write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler.Compiler, "compile", break_off)
    result = CliRunner().invoke(
        cli, ["compile", "--image", IMAGE, "--tracking-uri", MLFLOW, "--out", str(tmp_path / "p.yaml")]
    )
    assert "No space left on device; use another path" in result.stderr
    assert list(tmp_path.iterdir()) == []
