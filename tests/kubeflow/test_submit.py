"""`ferpipe submit` against a server that answers as Kubeflow's API does, through the real client."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from compiled_pipeline import IMAGE, MLFLOW, SECRETS
from kubeflow_api import KubeflowApi, serving

from pipeline.backend import six_fields
from pipeline.cli import cli

TOKEN = SECRETS["KFP_TOKEN"]


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    with serving(KubeflowApi(token=TOKEN)) as api:
        yield api


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    # The working tree may change while the tests run.
    monkeypatch.setattr("pipeline.kubeflow.code_version", lambda: "0123456789abcdef")
    # Where `submit --wait` looks for runs left open: nothing answers there, and nothing is waited for.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def submit(api: KubeflowApi, *arguments: str, host: str = "") -> Result:
    command = ["submit", "--host", host or api.host, "--image", IMAGE, "--tracking-uri", MLFLOW, "--every", "0.01"]
    result = CliRunner().invoke(cli, [*command, *arguments])
    assert [name for name, value in SECRETS.items() if value in result.output] == []
    return result


def test_a_run_is_started_with_every_parameter(api: KubeflowApi) -> None:
    result = submit(api, "--csv", "s3://faces/f.csv", "--set", "train.epochs=3", "--name", "first", "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    [run] = api.runs
    assert said["id"] == run.run_id
    assert said["address"] == f"{api.host}/#/runs/details/{run.run_id}"
    assert run.display_name == "first"
    parameters = run.runtime_config["parameters"]
    assert (parameters["csv"], parameters["train"]["epochs"]) == ("s3://faces/f.csv", 3)
    assert parameters["tracking_uri"] == MLFLOW
    assert len(parameters["code_version"]) == 16
    assert run.experiment_id == api.experiments[0].experiment_id
    assert api.experiments[0].display_name == "facial-expression"


def test_the_run_names_the_version_that_was_uploaded(api: KubeflowApi) -> None:
    submit(api)
    reference = api.runs[0].pipeline_version_reference
    assert reference["pipeline_version_id"] == api.versions[0].pipeline_version_id
    spec = api.versions[0].pipeline_spec
    assert spec["pipeline_spec"]["pipelineInfo"]["name"] == "facial-expression"
    assert IMAGE in json.dumps(spec)


def test_the_same_pipeline_is_uploaded_once(api: KubeflowApi) -> None:
    submit(api, "--csv", "s3://faces/f.csv")
    submit(api, "--csv", "s3://faces/other.csv", "--set", "train.epochs=3")
    assert (len(api.pipelines), len(api.versions), len(api.runs)) == (1, 1, 2)


def test_other_cluster_settings_are_a_new_version_of_the_same_pipeline(api: KubeflowApi) -> None:
    submit(api)
    submit(api, "--set", "cluster.gpu.count=4")
    submit(api, "--no-cache")
    assert (len(api.pipelines), len(api.versions)) == (1, 3)
    assert "enableCache" not in json.dumps(api.versions[2].pipeline_spec)


def test_the_service_account_is_the_clusters(api: KubeflowApi) -> None:
    submit(api, "--set", "cluster.service_account=trainer")
    assert api.runs[0].service_account == "trainer"


def test_waiting_says_what_happens_and_ends_well(api: KubeflowApi) -> None:
    result = submit(api, "--wait")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[2:] == ["locate: running", "locate: succeeded", "ingest: running", "ingest: succeeded", "succeeded"]


def test_a_failed_run_ends_with_status_1_and_the_steps_sentence(api: KubeflowApi) -> None:
    api.error = "ingest: f.csv: row 7 has 2,303 pixels"
    api.play = [("RUNNING", {"ingest": "RUNNING"}), ("FAILED", {"ingest": "FAILED"})]
    result = submit(api, "--wait")
    assert result.exit_code == 1
    assert "failed: ingest: ingest: f.csv: row 7 has 2,303 pixels" in result.stderr


def test_a_cancelled_run_ends_with_status_3(api: KubeflowApi) -> None:
    api.play = [("CANCELING", {"ingest": "RUNNING"}), ("CANCELED", {"ingest": "CANCELED"})]
    result = submit(api, "--wait", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["state"] == "CANCELED"


def test_a_backend_that_is_away_for_a_moment_is_waited_for(api: KubeflowApi) -> None:
    api.broken[("GET", "/runs/")] = (503, "no healthy upstream")
    threading.Timer(0.5, lambda: api.broken.pop(("GET", "/runs/"), None)).start()
    assert submit(api, "--wait").exit_code == 0


def test_a_schedule_is_made_and_replaced_by_its_name(api: KubeflowApi) -> None:
    assert submit(api, "--cron", "30 4 * * 1", "--name", "weekly").exit_code == 0
    [first] = api.recurring_runs
    assert first.trigger["cron_schedule"]["cron"] == "0 30 4 * * 1"
    assert (int(first.max_concurrency), first.no_catchup, first.mode) == (1, True, "ENABLE")
    assert submit(api, "--cron", "0 5 * * 1", "--name", "weekly").exit_code == 0
    [second] = api.recurring_runs
    assert second.trigger["cron_schedule"]["cron"] == "0 0 5 * * 1"
    assert api.runs == []


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


def test_a_wrong_token_is_one_sentence(api: KubeflowApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_TOKEN", "expired")
    said = one_sentence(submit(api))
    assert "we are not let in (Request header error: there is no user identity header: Unauthenticated)" in said
    assert "expired" not in said.replace("has not expired", "")
    assert api.pipelines == []


def test_a_token_file_is_taken_before_the_environment(
    api: KubeflowApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("KFP_TOKEN", "expired")
    assert submit(api, "--token-file", str(file)).exit_code == 0


def test_the_service_accounts_token_is_found_in_a_pod(
    api: KubeflowApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    monkeypatch.delenv("KFP_TOKEN")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    assert submit(api).exit_code == 0


def test_cookies_are_sent(api: KubeflowApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.token = ""
    monkeypatch.delenv("KFP_TOKEN")
    monkeypatch.setenv("KFP_COOKIES", "oauth2_proxy_kubeflow=1f")
    assert submit(api).exit_code == 0
    assert set(api.cookies) == {"oauth2_proxy_kubeflow=1f"}


def test_a_server_that_is_down_is_one_sentence(api: KubeflowApi) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    said = one_sentence(submit(api, host=host))
    assert f"{host}: does not answer" in said
    assert "check --host" in said


def test_a_name_that_nobody_knows_is_one_sentence(api: KubeflowApi) -> None:
    assert "does not answer" in one_sentence(submit(api, host="http://kubeflow.invalid"))


def test_a_login_page_is_one_sentence(api: KubeflowApi) -> None:
    api.broken[("GET", "healthz")] = (200, "<html><title>Log in to Dex</title></html>")
    said = one_sentence(submit(api))
    assert "not as a Kubeflow Pipelines API" in said
    assert "--cookies-file" in said


def test_a_forbidden_namespace_is_one_sentence(api: KubeflowApi) -> None:
    api.broken[("POST", "experiments")] = (403, json.dumps({"message": "user ann is not authorized"}))
    assert "not allowed (user ann is not authorized)" in one_sentence(submit(api))


def test_some_other_server_is_one_sentence(api: KubeflowApi) -> None:
    assert "no such thing there" in one_sentence(submit(api, host=f"{api.host}/elsewhere"))


def test_a_kubeflow_of_many_users_wants_a_namespace(api: KubeflowApi) -> None:
    api.multi_user = True
    assert "say whose with --namespace" in one_sentence(submit(api))
    assert submit(api, "--namespace", "ann").exit_code == 0
    assert api.experiments[0].namespace == "ann"


def test_a_mutable_image_is_refused_before_anything_is_sent(api: KubeflowApi) -> None:
    said = one_sentence(submit(api, "--image", "registry.example/fer-pipeline:latest"))
    assert "the tag 'latest' may come to mean another image" in said
    assert api.cookies == []


def test_a_csv_of_this_machine_is_refused_before_anything_is_sent(api: KubeflowApi) -> None:
    assert "--upload s3://bucket/prefix" in one_sentence(submit(api, "--csv", "faces.csv"))
    assert api.cookies == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "cluster.gpu.typ=x"], "cluster.gpu.typ: no such parameter; did you mean 'type'?"),
        (["--set", "cluster.gpu"], "write name=value"),
        (["--set", "train.epoch=3"], "did you mean 'train.epochs'?"),
        (["--cron", "every monday"], "has 2 fields"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["--upload", "bucket"], "give s3://bucket/prefix"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(api: KubeflowApi, arguments: list[str], sentence: str) -> None:
    assert sentence in one_sentence(submit(api, *arguments))
    assert api.cookies == []


def test_a_schedule_cannot_be_waited_for(api: KubeflowApi) -> None:
    assert submit(api, "--cron", "0 5 * * 1", "--wait").exit_code == 2


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
    assert "No space left on device; give another path" in result.stderr
    assert list(tmp_path.iterdir()) == []
