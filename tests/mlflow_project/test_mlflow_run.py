"""Every entry point of MLproject under a real `mlflow run`, one after the other; then MLflow is asked what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from ferkit.data import read_profile

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.mlproject, pytest.mark.timeout(900)]  # a dozen processes, one after the other


class Project:
    """`mlflow run` on this repository, with a store of its own."""

    def __init__(self, folder: Path, tracking_uri: str) -> None:
        self.folder = folder
        self.tracking_uri = tracking_uri
        self.client = mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)

    def start(self, entry: str, **parameters: str) -> subprocess.CompletedProcess[str]:
        """`mlflow run . -e ENTRY -P name=value …`."""
        command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "--env-manager", "local", "-e", entry]
        command += ["--experiment-name", "facial-expression"]
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

    def run(self, entry: str, **parameters: str) -> str:
        """The same, which has to succeed; what it printed."""
        done = self.start(entry, **parameters)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def project(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    return Project(folder, new_store(folder))


def test_the_single_steps_pass_folders_and_run_ids_on(project: Project, sample_csv: Path):
    faces, balanced = project.folder / "faces", project.folder / "balanced"
    project.run("ingest", csv=str(sample_csv), output=str(faces), duplicates="keep")
    assert read_profile(faces).duplicates["policy"] == "keep"

    project.run("balance", data=str(faces), output=str(balanced), strategy="oversample")
    per_emotion = read_profile(balanced).splits["train"]["per_emotion"]
    assert len(set(per_emotion.values())) == 1

    printed = project.run(
        "train", data=str(balanced), architecture="multi_kernel", epochs="1", width="0.125", recipe="tuned"
    )
    [run_id] = re.findall(r"^run ([0-9a-f]{32})$", printed, re.MULTILINE)
    candidate = project.client.get_run(run_id)
    assert candidate.data.params["width"] == "0.125"
    outer = project.client.get_run(candidate.data.tags["mlflow.parentRunId"])
    assert (outer.info.status, outer.data.params["epochs"]) == ("FINISHED", "1")

    project.run("evaluate", data=str(balanced), run_id=run_id)
    scored = project.client.get_run(run_id)
    assert scored.info.status == "FINISHED"
    assert "test/recall/disgust" in scored.data.metrics

    refused = project.start("ensemble", data=str(balanced), run_ids=run_id)
    assert refused.returncode != 0
    assert "Error: ensemble: nothing was joined" in refused.stderr

    project.run("register", data=str(balanced), run_ids=run_id, floor_macro_f1="0", floor_recall="0")
    [version] = project.client.search_model_versions("name = 'facial-expression'")
    assert (version.run_id, version.tags["validation_status"]) == (run_id, "approved")


def test_the_whole_pipeline_adopts_the_run_that_mlflow_opened(project: Project, sample_csv: Path):
    candidates = "[{architecture: multi_kernel, width: 0.125, epochs: 1}]"
    project.run("main", csv=str(sample_csv), candidates=candidates, train__tta="none")
    experiment = project.client.get_experiment_by_name("facial-expression")
    query = "tags.`mlflow.project.entryPoint` = 'main'"
    [parent] = project.client.search_runs([experiment.experiment_id], query)
    assert parent.info.status == "FINISHED"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d sample", str(parent.info.run_name)), "MLflow's own name stayed"
    assert parent.data.params["train.tta"] == "none"
    assert {"run.kind", "kfp.pipeline_run_id", "gate.verdict"} <= set(parent.data.tags)
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    [child] = project.client.search_runs([experiment.experiment_id], query)
    assert (child.info.status, child.data.params["epochs"]) == ("FINISHED", "1")


def test_a_search_and_an_ensemble_of_its_finalists(project: Project, sample_csv: Path):
    """The finalists' ensemble that the search makes is of equal weights; the other entry point makes one of fitted."""
    space = "{architecture: multi_kernel, width: 0.125, epochs: 1, tta: none, learning_rate: [0.001, 0.002]}"
    project.run("search", csv=str(sample_csv), method="grid", trials="2", finalists="2", space=space)
    experiment = project.client.get_experiment_by_name("facial-expression")
    query = "tags.`mlflow.project.entryPoint` = 'search'"
    [parent] = project.client.search_runs([experiment.experiment_id], query)
    assert (parent.info.status, parent.data.metrics["search/trials"]) == ("FINISHED", 2)
    query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}' AND tags.`search.run` LIKE '%'"
    trials = project.client.search_runs([experiment.experiment_id], query)
    assert {run.data.params["learning_rate"] for run in trials} == {"0.001", "0.002"}
    assert {run.data.tags["candidate.state"] for run in trials} == {"evaluated"}

    digest = trials[0].data.tags["data.digest"]
    folders = {profile.parent for profile in (project.folder / "home").rglob("balanced/profile.json")}
    data = next(folder for folder in sorted(folders) if read_profile(folder).digest == digest)
    ids = [run.info.run_id for run in trials]
    printed = project.run("ensemble", data=str(data), run_ids=",".join(ids), weights="fitted")
    [run_id] = re.findall(r"^run ([0-9a-f]{32})$", printed, re.MULTILINE)
    ensemble = project.client.get_run(run_id)
    assert (ensemble.data.params["weights"], ensemble.data.tags["candidate.state"]) == ("fitted", "trained")
    assert {ensemble.data.params["member.1"], ensemble.data.params["member.2"]} == set(ids)


@pytest.mark.parametrize(
    ("entry", "parameters", "sentence"),
    [
        ("ingest", {"csv": "nowhere.csv", "output": "out"}, "nowhere.csv"),
        ("train", {"data": "nowhere", "architecture": "lenet"}, "not a data set folder"),
    ],
)
def test_bad_input_is_one_sentence_and_a_failed_run(project: Project, entry: str, parameters: dict, sentence: str):
    done = project.start(entry, **parameters)
    assert done.returncode != 0
    [error] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert sentence in error
