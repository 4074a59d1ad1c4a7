"""Every entry point of MLproject under a real `mlflow run`, one after the other; then MLflow is asked what there is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from components.ingest.parameters import Ingest
from ferkit.data import read_profile
from pipeline.show import show_run

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.mlproject, pytest.mark.timeout(900)]  # a dozen processes, one after the other


class Project:
    """`mlflow run` on this repository, with a store of its own."""

    def __init__(self, folder: Path, tracking_uri: str) -> None:
        self.folder = folder
        self.tracking_uri = tracking_uri
        self.client = mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)

    def start(self, entry: str, *options: str, **parameters: str) -> subprocess.CompletedProcess[str]:
        """`mlflow run . -e ENTRY -P name=value …`."""
        command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "--env-manager", "local", "-e", entry, *options]
        for name, value in parameters.items():
            command += ["-P", f"{name.replace('__', '.')}={value}"]
        environment = {
            **os.environ,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "FERPIPE_HOME": str(self.folder / "home"),
            # `python` of the entry points' commands is this one.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self.folder, check=False)

    def run(self, entry: str, *options: str, **parameters: str) -> str:
        """The same, which has to succeed; what the entry point printed, free of marks that are not for people."""
        done = self.start(entry, *options, **parameters)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not re.search(r"ferpipe[|~!=] ", done.stdout)
        return done.stdout

    def opened(self, entry: str) -> Run:
        """The last run that MLflow itself opened for an entry point: the one that its last line names."""
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return self.client.search_runs(experiments, f"tags.`mlflow.project.entryPoint` = '{entry}'")[0]

    def next(self, printed: str) -> dict[str, str]:
        """The parameters in an entry point's last line, which says what comes next."""
        last = printed.splitlines()[-1]
        assert last.startswith("next: mlflow run . -e ")
        return dict(given.split("=", 1) for given in shlex.split(last) if "=" in given)


@pytest.fixture(scope="module")
def project(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    return Project(folder, new_store(folder))


OURS = ("--experiment-name", "facial-expression")


def test_the_single_steps_pass_folders_and_run_ids_on(project: Project, sample_csv: Path):
    faces, balanced = project.folder / "faces", project.folder / "balanced"
    printed = project.run("ingest", *OURS, csv=str(sample_csv), output=str(faces), duplicates="keep")
    assert project.next(printed)["data"] == str(faces)
    assert read_profile(faces).duplicates["policy"] == "keep"
    run = project.opened("ingest")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d ingest \w+", str(run.info.run_name))
    assert run.data.params == {
        **{"csv": str(sample_csv), "output": str(faces), "duplicates": "keep"},
        **{name: str(default) for name, default in Ingest().model_dump().items() if name != "duplicates"},
    }

    printed = project.run("balance", *OURS, **project.next(printed) | {"output": str(balanced)}, strategy="oversample")
    per_emotion = read_profile(balanced).splits["train"]["per_emotion"]
    assert len(set(per_emotion.values())) == 1
    assert project.opened("balance").data.params["blur"] == "[0.5, 1.5]"

    asked = project.next(printed) | {"architecture": "multi_kernel"}
    printed = project.run("train", *OURS, **asked, epochs="1", width="0.125", recipe="tuned")
    [run_id] = [project.next(printed)["run_id"]]
    candidate, outer = project.client.get_run(run_id), project.opened("train")
    assert candidate.data.params["width"] == "0.125"
    assert candidate.data.tags["mlflow.parentRunId"] == outer.info.run_id
    assert candidate.data.tags["pipeline.run"] == outer.info.run_name
    assert (outer.info.status, outer.data.params["epochs"]) == ("FINISHED", "1")

    # The id in MLflow's own last line does as well.
    printed = project.run("evaluate", *OURS, data=str(balanced), run_id=outer.info.run_id)
    assert project.next(printed)["run_ids"] == run_id
    scored, outer = project.client.get_run(run_id), project.opened("evaluate")
    assert scored.info.status == "FINISHED"
    shown = {name: value for name, value in scored.data.metrics.items() if name.startswith(("eval_val/", "test/"))}
    assert "test/recall/disgust" in shown
    assert outer.data.metrics == shown

    refused = project.start("ensemble", *OURS, data=str(balanced), run_ids=outer.info.run_id)
    assert refused.returncode != 0
    assert "Error: ensemble: nothing was joined" in refused.stderr
    assert project.opened("ensemble").data.tags["failure"].startswith("ensemble: nothing was joined")

    asked = {"data": str(balanced), "run_ids": outer.info.run_id, "floor_macro_f1": "0", "floor_recall": "0"}
    printed = project.run("register", *OURS, **asked)
    assert printed.splitlines()[-1] == "next: ferpipe promote 1 --model facial-expression"
    [version] = project.client.search_model_versions("name = 'facial-expression'")
    assert (version.run_id, version.tags["validation_status"]) == (run_id, "approved")
    outer = project.opened("register")
    assert {file.path for file in project.client.list_artifacts(outer.info.run_id)} >= {"report.html", "gate"}
    assert outer.data.metrics == shown
    assert "**approved**" in outer.data.tags["mlflow.note.content"]
    shown = show_run(project.client, outer, project.tracking_uri)
    assert (shown.kind, [row.run_id for row in shown.candidates]) == ("pipeline", [run_id])
    assert shown.data == scored.data.tags["data.name"]
    assert shown.verdict.startswith("version 1 (")
    assert outer.data.tags["pipeline.run"] == scored.data.tags["pipeline.run"]


def test_the_whole_pipeline_adopts_the_run_that_mlflow_opened(project: Project, sample_csv: Path):
    candidates = "[{architecture: multi_kernel, width: 0.125, epochs: 1}]"
    printed = project.run("main", *OURS, csv=str(sample_csv), candidates=candidates, train__tta="none")
    experiment = project.client.get_experiment_by_name("facial-expression")
    parent = project.opened("main")
    assert parent.info.experiment_id == experiment.experiment_id
    assert parent.info.run_id[:8] in printed
    assert parent.info.status == "FINISHED"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d sample", str(parent.info.run_name)), "MLflow's own name stayed"
    assert parent.data.params["train.tta"] == "none"
    assert [name for name, value in parent.data.params.items() if value in ("''", '""')] == []
    assert {"run.kind", "kfp.pipeline_run_id", "gate.verdict"} <= set(parent.data.tags)
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    [child] = project.client.search_runs([experiment.experiment_id], query)
    assert (child.info.status, child.data.params["epochs"]) == ("FINISHED", "1")


def test_a_search_and_an_ensemble_of_its_finalists(project: Project, sample_csv: Path):
    """The finalists' ensemble that the search makes is of equal weights; the other entry point makes one of fitted."""
    space = "{architecture: multi_kernel, width: 0.125, epochs: 1, tta: none, learning_rate: [0.001, 0.002]}"
    project.run("search", *OURS, csv=str(sample_csv), method="grid", trials="2", finalists="2", space=space)
    parent = project.opened("search")
    assert (parent.info.status, parent.data.metrics["search/trials"]) == ("FINISHED", 2)
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' AND tags.`search.run` LIKE '%'"
    trials = project.client.search_runs([parent.info.experiment_id], query)
    assert {run.data.params["learning_rate"] for run in trials} == {"0.001", "0.002"}
    assert {run.data.tags["candidate.state"] for run in trials} == {"evaluated"}

    digest = trials[0].data.tags["data.digest"]
    folders = {profile.parent for profile in (project.folder / "home").rglob("balanced/profile.json")}
    data = next(folder for folder in sorted(folders) if read_profile(folder).digest == digest)
    ids = [run.info.run_id for run in trials]
    printed = project.run("ensemble", *OURS, data=str(data), run_ids=",".join(ids), weights="fitted")
    run_id = project.next(printed)["run_id"]
    ensemble = project.client.get_run(run_id)
    assert (ensemble.data.params["weights"], ensemble.data.tags["candidate.state"]) == ("fitted", "trained")
    assert {ensemble.data.params["member.1"], ensemble.data.params["member.2"]} == set(ids)


def test_without_an_experiment_the_work_lies_in_ours(project: Project, sample_csv: Path):
    project.run("ingest", csv=str(sample_csv), output=str(project.folder / "again"))
    opened = project.opened("ingest")
    assert opened.info.experiment_id == "0"
    ours = project.client.get_run(opened.data.tags["run.stands_for"])
    assert project.client.get_experiment(ours.info.experiment_id).name == "facial-expression"
    assert (ours.info.status, ours.info.run_name) == ("FINISHED", opened.info.run_name)
    assert ours.info.run_id in opened.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("entry", "parameters", "sentence"),
    [
        ("ingest", {"csv": "nowhere.csv", "output": "out"}, "nowhere.csv"),
        ("train", {"data": "nowhere", "architecture": "lenet"}, "not a data set folder"),
    ],
)
def test_bad_input_is_one_sentence_and_a_failed_run(project: Project, entry: str, parameters: dict, sentence: str):
    done = project.start(entry, *OURS, **parameters)
    assert done.returncode != 0
    [error] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert sentence in error
    run = project.opened(entry)
    assert (run.info.status, run.data.tags["failure"]) == ("FAILED", error.removeprefix("Error: "))
