"""`ferpipe show` of pipeline runs and candidates, and `ferpipe report`: MLflow is written as the steps write it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner, Result

from components.open_run.open_run import PipelineRun, open_run
from ferkit.tracking import names, tree
from ferkit.tracking.names import metric
from ferkit.tracking.owner import Owner
from ferkit.tracking.store import connect
from pipeline.cli import cli
from pipeline.parameters import Parameters
from pipeline.run_report import fetch_report

LOG = logging.getLogger("test")
FOREIGN = "[red]a[/red] [/b]"


class Opened:
    """A pipeline run of two candidates, opened by `open_run`, scored and ended."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.client: mlflow.MlflowClient = connect(uri)
        parameters = Parameters.parse(
            {
                "csv": "sample://?faces=300&seed=0",
                "balance": {"strategy": "oversample"},
                "train": {"epochs": 3},
                "candidates": [{"architecture": "lenet", "width": 0.5}, {"architecture": "multi_kernel"}],
            }
        )
        asked = PipelineRun("1f", Owner("1f"), parameters.dump(), "sample:faces=300", "0" * 40)
        self.candidates = open_run(self.client, asked, LOG)
        self.parent = self.client.get_run(self.candidates[0]).data.tags["mlflow.parentRunId"]

    def score(self) -> None:
        for run_id, score in zip(self.candidates, (0.5, 0.4), strict=True):
            self.client.log_metric(run_id, metric("validation", "macro_f1"), score)
            for name in ("accuracy", "macro_f1"):
                self.client.log_metric(run_id, metric("test", name), score + 0.1)
            for name in ("precision", "recall", "f1"):
                self.client.log_metric(run_id, metric("test", name, "disgust"), 0.125)
            tree.close(self.client, run_id)
        self.client.set_tag(self.parent, "gate.verdict", f"rejected: recall of {FOREIGN}")
        tree.close(self.client, self.parent)

    def ferpipe(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [*words, "--tracking-uri", self.uri])

    def shown(self, run: str) -> dict[str, Any]:
        done = self.ferpipe("show", run, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
def opened(new_store: Callable[[Path], str], tmp_path: Path) -> Opened:
    return Opened(new_store(tmp_path))


def test_a_pipeline_run_shows_what_is_not_the_default_its_candidates_and_the_verdict(opened: Opened) -> None:
    opened.score()
    opened.client.log_text(opened.parent, "<html>", "report.html")
    found = opened.shown(opened.parent[:8])
    assert found["differs"] == {"balance.strategy": "oversample", "train.epochs": "3"}
    assert [row["name"] for row in found["candidates"]] == ["lenet-tuned-s0", "multi_kernel-tuned-s0"]
    assert (found["kind"], found["data"], found["status"]) == ("pipeline", "sample", "FINISHED")
    assert Path(found["report"]).read_text() == "<html>"
    assert [line.split("ferpipe ")[1] for line in found["next"]] == [f"compare {opened.parent}", "ui"]
    shown = opened.ferpipe("show", opened.parent[:8]).stdout
    words = [opened.parent, "balance.strategy=oversample, train.epochs=3", FOREIGN, "0.600", found["report"]]
    assert [word for word in [*words, "git 0000000"] if word not in shown] == []
    assert len(shown.splitlines()) < 24


def test_a_run_that_only_registered_shows_the_candidates_that_it_did(opened: Opened) -> None:
    """As `mlflow run -e register` leaves one: its candidates lie under the run that trained them."""
    opened.score()
    experiment = opened.client.get_run(opened.parent).info.experiment_id
    tags = {names.RUN_KIND: "pipeline", names.CANDIDATES: ",".join(opened.candidates), names.DATA_NAME: "sample"}
    registered = opened.client.create_run(experiment, tags=tags, run_name="2026-11-26 05:00 register").info.run_id
    tree.close(opened.client, registered)
    found = opened.shown(registered)
    assert [row["run_id"] for row in found["candidates"]] == opened.candidates
    lines = json.loads(opened.ferpipe("runs", "--json").stdout)
    assert [(line["run_id"], line["candidates"]) for line in lines] == [(registered, 2), (opened.parent, 2)]
    compared = json.loads(opened.ferpipe("compare", "--last", "2", "--json").stdout)
    assert [row["run_id"] for row in compared] == opened.candidates, "each once"


def test_a_candidate_shows_what_is_not_its_recipes_and_every_class(opened: Opened) -> None:
    opened.score()
    run_id = opened.candidates[0]
    found = opened.shown(run_id)
    assert found["differs"] == {"epochs": "3", "width": "0.5"}
    assert found["per_class"] == {"disgust": {"precision": 0.125, "recall": 0.125, "f1": 0.125}}
    assert (found["kind"], found["pipeline_run"], found["csv"]) == (
        "candidate",
        opened.parent,
        "sample://?faces=300&seed=0",
    )
    assert f"predict FACES --model {run_id}" in found["next"][-1]
    assert opened.shown(opened.candidates[1])["differs"] == {"epochs": "3"}


def test_a_failed_run_says_why_and_how_to_go_on(opened: Opened) -> None:
    tree.close_tree(opened.client, opened.client.get_run(opened.parent), "FAILED", f"train: {FOREIGN}")
    found = opened.shown(opened.parent)
    assert found["failure"] == f"train: {FOREIGN}"
    assert found["next"][0].endswith(f"submit --resume {opened.parent}")  # its owner was no command of a machine
    shown = opened.ferpipe("show", opened.parent).stdout
    assert f"failed: train: {FOREIGN}" in shown
    assert "report" not in shown


def test_what_is_neither_is_refused_in_a_sentence(opened: Opened) -> None:
    other = opened.client.create_run("0", run_name="other").info.run_id
    for given, said in (
        (other, "is no pipeline run and no candidate"),
        ("0" * 7, "no such run"),
        ("x", "'x' is no run's id"),
    ):
        refused = opened.ferpipe("show", given)
        assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
        assert said in refused.output


def test_report_prints_the_path_for_a_run_and_for_its_candidates(opened: Opened, tmp_path: Path) -> None:
    opened.client.log_text(opened.parent, "<html>", "report.html")
    for run in (opened.parent[:7], opened.candidates[0]):
        printed = opened.ferpipe("report", run, "--home", str(tmp_path / "home"))
        assert Path(printed.stdout.strip()).read_text() == "<html>", printed.output
    assert not (tmp_path / "home").exists()


def test_a_report_that_is_not_on_this_machine_is_copied(opened: Opened, tmp_path: Path) -> None:
    opened.client.log_text(opened.parent, "<html>", "report.html")
    elsewhere = opened.client.get_run(opened.parent)
    elsewhere.info._artifact_uri = "mlflow-artifacts:/1/elsewhere"  # as a server says
    copy = fetch_report(opened.client, elsewhere, tmp_path / "reports")
    assert (copy.name, copy.read_text()) == (f"report-{opened.parent[:8]}.html", "<html>")
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_run_without_a_report_is_said_to_have_none(opened: Opened) -> None:
    refused = opened.ferpipe("report", opened.parent)
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert "has no report" in refused.output


def test_report_opens_the_browser_when_asked(opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened.client.log_text(opened.parent, "<html>", "report.html")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    (tmp_path / "xdg-open").symlink_to(browser)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = opened.ferpipe("report", opened.parent, "--open").stdout.strip()
    for _ in range(200):
        if (tmp_path / "opened").exists() and (tmp_path / "opened").read_text():
            break
        time.sleep(0.05)
    assert (tmp_path / "opened").read_text().strip() == path


def test_a_run_to_resume_may_be_named_by_the_beginning_of_its_id(opened: Opened) -> None:
    other_csv = opened.ferpipe("run", "--resume", opened.parent[:7], "--csv", "other.csv")  # refused by its parameters
    assert f"run {opened.parent} read sample" in other_csv.output
    unknown = opened.ferpipe("run", "--resume", "0000000")
    assert (unknown.exit_code, "no such run" in unknown.output) == (1, True)


def test_a_resumed_run_takes_no_name(opened: Opened) -> None:
    assert opened.ferpipe("run", "--resume", opened.parent, "--name", "x").exit_code == 2
