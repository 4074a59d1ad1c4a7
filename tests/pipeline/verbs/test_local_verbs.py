"""`ferpipe` itself, and the verbs that need no pipeline run: sample, doctor, ui."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from pipeline.cli import VERBS, cli
from pipeline.parameters import describe, describe_candidates
from pipeline.verbs import doctor


def ferpipe(*arguments: str):
    return CliRunner().invoke(cli, list(arguments))


def test_the_help_lists_every_verb_and_imports_nothing_heavy():
    command = (
        "import sys; from pipeline.cli import cli; cli(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    )
    shown = subprocess.check_output([sys.executable, "-c", command], text=True)
    for verb in VERBS:
        assert f"  {verb} " in shown
    for heavy in ("mlflow", "kfp", "tensorflow", "keras", "pandas", "matplotlib"):
        assert f"'{heavy}'" not in shown


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str):
    shown = ferpipe(verb, "--help")
    assert shown.exit_code == 0, shown.output
    assert "Usage:" in shown.output


def test_the_help_of_run_lists_every_parameter_of_the_pipeline_and_of_a_candidate():
    of_pipeline, *parts = ferpipe("run", "--help").output.split("In a candidate {architecture: ")
    of_candidates = {part.partition(",")[0]: part for part in parts}
    for name, _ in describe():
        assert f"\n  {name} = " in of_pipeline, name
    for architecture, name, _ in describe_candidates():
        assert f"\n  {name} = " in of_candidates[architecture], (architecture, name)


def test_an_unknown_verb_is_a_usage_error():
    assert ferpipe("promoet").exit_code == 2


def test_sample_says_what_it_drew(tmp_path: Path):
    drawn = ferpipe("sample", str(tmp_path / "faces.csv"), "--faces", "100", "--json")
    found = json.loads(drawn.output)
    assert found["bytes"] == (tmp_path / "faces.csv").stat().st_size


def test_sample_replaces_no_file_unless_it_is_told_to(tmp_path: Path):
    mine = tmp_path / "it's [mine].csv"
    mine.write_text("mine\n")
    refused = ferpipe("sample", str(mine), "--faces", "100")
    assert refused.exit_code == 1
    assert "it's [mine].csv: is there already" in refused.output
    assert mine.read_text() == "mine\n"
    drawn = ferpipe("sample", str(mine), "--faces", "100", "--force")
    assert drawn.exit_code == 0
    assert f"ferpipe run --csv {shlex.quote(str(mine))}" in drawn.output


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").touch()
    shown = ferpipe("sample", str(tmp_path / "file" / "faces.csv"))
    assert shown.exit_code == 1
    assert shown.output.startswith(f"Error: {tmp_path}/file")
    assert shown.output.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("http://[your-server]", "http://[your-server]: brackets in an address are for IPv6"),
        ("http://host:99999", "http://host:99999: a port is a number from 1 to 65535"),
        ("http://", "names no server"),
        ("mlflow:5000", "mlflow:5000 is no address; write http(s)://host or sqlite:///file"),
        ("sqlite:///", "names no file"),
        ("postgresql://ann:hunter2@db/mlflow", "postgresql://… is no address; write http(s)://host or sqlite:///file;"),
    ],
)
def test_a_tracking_address_that_is_none_is_refused_at_once(address: str, sentence: str):
    for arguments in (["history"], ["ui"], ["doctor"], ["run", "--csv", "x.csv"]):
        shown = ferpipe(*arguments, "--tracking-uri", address)
        assert shown.exit_code == 2
        assert sentence in shown.output
        assert "hunter2" not in shown.output
    if address.startswith("http"):
        shown = ferpipe("compile", "--image", "registry.example/fer:0123abc", "--tracking-uri", address)
        assert shown.exit_code == 2
        assert sentence in shown.output


@pytest.mark.parametrize("verb", ["runs", "compare", "history", "show 1", "predict x.png", "promote 1", "clean"])
def test_a_mistyped_store_is_not_made(verb: str, tmp_path: Path):
    shown = ferpipe(*verb.split(), "--tracking-uri", f"sqlite:///{tmp_path}/mlfow.db?timeout=60")
    assert shown.exit_code == 2
    assert f"{tmp_path}/mlfow.db: no such file; the first run makes it" in shown.output
    assert list(tmp_path.iterdir()) == []


def test_a_sqlite_address_keeps_its_settings(
    new_store: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A real store: `timeout` is how long SQLite waits for others that write."""
    monkeypatch.chdir(tmp_path)
    new_store(tmp_path)
    shown = ferpipe("history", "--tracking-uri", "sqlite:///mlflow.db?timeout=60")
    assert "no model" in shown.output
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_brackets_and_escapes_in_what_is_not_ours_are_shown_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "500")
    home = tmp_path / "[bold]it[/bold] [/] \x1b[31m"
    shown = ferpipe("doctor", "--home", str(home), "--tracking-uri", f"sqlite:///{home}/mlflow.db")
    assert "[bold]it[/bold] [/] \\x1b[31m/mlflow.db" in shown.output


def test_a_password_in_the_tracking_address_is_refused():
    shown = ferpipe("ui", "--tracking-uri", "https://ann:hunter2@mlflow.example")
    assert shown.exit_code == 2
    assert "hunter2" not in shown.output
    assert "MLFLOW_TRACKING_PASSWORD" in shown.output


def test_an_mlflow_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    shown = ferpipe("history", "--tracking-uri", "http://127.0.0.1:9")
    assert shown.exit_code == 1
    assert shown.output.startswith("Error: MLflow at http://127.0.0.1:9 does not answer (connection refused)")
    assert "`ferpipe doctor`" in shown.output
    assert isinstance(shown.exception, SystemExit)


def test_doctor_is_content_with_a_machine_that_has_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    let_room_be(monkeypatch, memory=3e9, disk=2e9)
    shown = ferpipe("doctor", "--json", "--home", str(tmp_path), "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    findings = {finding["what"]: finding for finding in json.loads(shown.output)}
    assert shown.exit_code == 0, shown.output
    assert findings["packages"]["state"] == "good"
    assert {finding["state"] for finding in findings.values()} <= {"good", "optional"}


def test_doctor_says_how_much_room_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    let_room_be(monkeypatch, memory=2.9e9, disk=1.9e9)
    shown = ferpipe("doctor", "--json", "--home", str(tmp_path), "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    findings = {finding["what"]: finding for finding in json.loads(shown.output)}
    assert shown.exit_code == 1
    assert findings["memory"]["found"] == "2.9 GB free"
    assert findings["memory"]["cure"] == "close something: 3 GB needed"
    assert findings["disk"]["found"] == f"1.9 GB free in {tmp_path}"
    assert findings["disk"]["cure"] == "make room: 2 GB needed"


def let_room_be(monkeypatch: pytest.MonkeyPatch, memory: float, disk: float) -> None:
    """How much memory and disk are free, in bytes, whatever this machine has."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=memory))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=disk))


def test_doctor_names_the_cure_for_a_server_that_does_not_answer():
    shown = ferpipe("doctor", "--json", "--tracking-uri", "http://127.0.0.1:9")
    findings = {finding["what"]: finding for finding in json.loads(shown.output)}
    assert shown.exit_code == 1
    assert findings["MLflow"]["state"] == "missing"
    assert findings["MLflow"]["cure"] == "start the server, or check the address"


def test_doctor_finds_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    finding = doctor.look_at_disk(tmp_path / "new" / "home")
    assert (finding.state, finding.cure) == ("missing", "use another folder with --home")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--csv", "nowhere.csv", "--set", "train.epoch=3"],
            "train.epoch: no such parameter; did you mean 'train.epochs'?",
        ),
        (["--config", "nowhere.yaml"], "nowhere.yaml: No such file or directory"),
        (["--resume", "1f", "--set", "train.epochs=3"], "--resume uses the run's own parameters"),
    ],
)
def test_run_refuses_before_anything_is_made(arguments: list[str], sentence: str, tmp_path: Path):
    where = ["--home", str(tmp_path / "home"), "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    shown = ferpipe("run", *arguments, *where)
    assert shown.exit_code in (1, 2)
    assert sentence in shown.output
    assert list(tmp_path.iterdir()) == []
