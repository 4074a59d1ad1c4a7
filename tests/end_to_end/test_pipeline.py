"""The whole DAG on a small drawn sample, by the command a person types; then MLflow is asked, not our own code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ferkit.data import EMOTIONS, read_profile
from tests.end_to_end.place import Place

pytestmark = pytest.mark.timeout(900)  # a run of the whole DAG takes a minute on idle cores


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("end-to-end"))


@pytest.fixture(scope="module")
def printed(place: Place, sample_csv: Path) -> str:
    """What the first, whole run printed."""
    shutil.copy(sample_csv, place.folder / "faces.csv")
    return place.run(place.folder / "faces.csv")


def test_a_person_sees_one_line_per_step_and_what_to_do_next(printed: str):
    steps = ("locate", "open_run", "ingest", "balance", "profile", "train", "finalists", "evaluate", "register")
    lines = printed.splitlines()
    for step in (*steps, "ensemble", "close_run"):
        expected = {"train": 2, "evaluate": 3}.get(step, 1)  # the ensemble is evaluated, too
        assert len([line for line in lines if line.startswith(f"✓ {step} ")]) == expected, printed
    assert "KFP Executor" not in printed
    assert "\x1b[" not in printed
    for word in ("accuracy", "macro-F1", "approved", "ferpipe promote", "ferpipe compare", "ui"):
        assert word in printed, word
    [log] = [line.split()[-1] for line in lines if line.startswith("log ")]
    assert "KFP Executor" in Path(log).read_text()


def test_the_run_tree_is_complete(place: Place, printed: str):
    [parent] = place.parents()
    children = place.children(parent)
    assert parent.info.status == "FINISHED"
    assert {child.info.status for child in children} == {"FINISHED"}
    assert {child.data.tags["architecture"] for child in children} == {"lenet", "multi_kernel", "ensemble"}
    [ensemble] = [child for child in children if child.data.tags["architecture"] == "ensemble"]
    members = {ensemble.data.params["member.1"], ensemble.data.params["member.2"]}
    assert members == {child.info.run_id for child in children} - {ensemble.info.run_id}
    assert parent.data.params["train.epochs"] == "2"
    assert {"git.commit", "code.version", "kfp.pipeline_run_id", "pipeline.version"} <= set(parent.data.tags)
    assert any(path.startswith("profile/") and path.endswith(".png") for path in place.artifacts(parent.info.run_id))
    for child in children:
        tags = {"candidate_id", "git.commit", "data.digest", "data.sha256", "kfp.pipeline_run_id"}
        assert tags <= set(child.data.tags)
        assert child is ensemble or child.data.params["epochs"] == "2"
        assert {item.dataset.name for item in child.inputs.dataset_inputs} >= {"train", "validation", "test"}


def test_every_figure_is_under_its_name(place: Place, printed: str):
    [parent] = place.parents()
    for child in place.children(parent):
        metrics = child.data.metrics
        is_ensemble = child.data.tags["architecture"] == "ensemble"
        for split in ("eval_val", "test", "test_clean", *(() if is_ensemble else ("best_val",))):
            assert {f"{split}/accuracy", f"{split}/macro_f1"} <= set(metrics)
        for emotion in EMOTIONS:
            assert {f"test/{name}/{emotion}" for name in ("precision", "recall", "f1")} <= set(metrics)
        assert len([name for name in metrics if not name.startswith("system/")]) <= 60
        if not is_ensemble:
            assert {"train/loss", "images_per_second", "epoch_seconds"} <= set(metrics)
            assert len(place.client.get_metric_history(child.info.run_id, "train/loss")) == 2
        artifacts = place.artifacts(child.info.run_id)
        assert any(path.endswith("predictions.csv") for path in artifacts)
        assert any("confusion" in path and path.endswith(".png") for path in artifacts)


def test_the_inputs_carry_the_digests_of_the_data(place: Place, printed: str):
    [parent] = place.parents()
    child = place.children(parent)[0]
    inputs = {item.dataset.name: item.dataset.digest for item in child.inputs.dataset_inputs}
    [profile] = {
        read_profile(path.parent).digest: read_profile(path.parent)
        for path in (place.folder / "home").rglob("balanced/profile.json")
    }.values()
    assert inputs["test"] == profile.splits["test"]["digest"]
    assert child.data.tags["data.digest"] == profile.digest
    for run in (parent, child):
        kinds = {item.dataset.name: item.dataset.source_type for item in run.inputs.dataset_inputs}
        assert kinds.items() >= {"train": "local", "validation": "local", "test": "local"}.items()


def test_a_logged_model_says_which_candidate_it_is(place: Place, printed: str):
    [parent] = place.parents()
    for child in place.children(parent):
        query = f"source_run_id = '{child.info.run_id}'"
        [model] = place.client.search_logged_models([child.info.experiment_id], query)
        assert model.tags["candidate"] == child.info.run_name
        assert model.tags["data.digest"] == child.data.tags["data.digest"]
        assert model.params
        assert model.params.items() <= child.data.params.items()
        assert "epochs" in model.params or child.data.tags["architecture"] == "ensemble"


def test_every_candidate_is_registered_and_one_is_gated(place: Place, printed: str):
    versions = place.client.search_model_versions("name = 'facial-expression'")
    [parent] = place.parents()
    assert {version.run_id for version in versions} == {child.info.run_id for child in place.children(parent)}
    by_status = {version.tags["validation_status"]: version for version in versions}
    assert set(by_status) == {"approved", "not_gated"}
    assert len(versions) == 3
    of_all = {"validation_status", "data.digest", "data.uri", "git.commit"}
    for version in versions:
        judged = {"validation_reasons", "compared_with"} if version is by_status["approved"] else set()
        assert set(version.tags) == of_all | judged
    figures = {version.run_id: place.client.get_run(version.run_id).data.metrics for version in versions}
    assert figures[by_status["approved"].run_id]["eval_val/macro_f1"] == max(
        of["eval_val/macro_f1"] for of in figures.values()
    )
    assert (
        place.client.get_model_version_by_alias("facial-expression", "challenger").version
        == by_status["approved"].version
    )


def test_the_promoted_model_predicts_in_a_fresh_process_elsewhere(place: Place, printed: str, tmp_path: Path):
    place.succeeds("promote", "--json")
    champion = place.client.get_model_version_by_alias("facial-expression", "champion")
    folder = next((place.folder / "home").rglob("balanced/test.parquet")).parent
    script = f"""
import json, sys
import mlflow, pandas as pd
import pyarrow.parquet as pq
mlflow.set_tracking_uri({place.tracking_uri!r})
model = mlflow.pyfunc.load_model("models:/facial-expression@champion")
import numpy as np
table = pq.read_table({str(folder / "test.parquet")!r})
faces = [np.frombuffer(one.as_py(), np.uint8).reshape(48, 48) for one in table["pixels"]]
print(json.dumps(list(model.predict(pd.DataFrame({{"face": faces}}))["emotion"])))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=place.environment, check=False
    )
    assert done.returncode == 0, done.stderr
    predicted = json.loads(done.stdout.splitlines()[-1])
    downloaded = Path(place.client.download_artifacts(champion.run_id, "evaluation", str(tmp_path)))
    import pandas as pd

    assert predicted == list(pd.read_csv(downloaded / "test" / "predictions.csv")["prediction"])


def test_a_broken_step_fails_the_parent_with_its_sentence_and_registers_nothing(
    sample_csv: Path, new_store: Callable[[Path], str], tmp_path: Path
):
    place = Place(tmp_path, new_store(tmp_path))
    given = ["--csv", str(sample_csv), "--config", str(place.config)]
    done = place.ferpipe("run", *given, "--set", "ingest.max_rejected_fraction=0")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ingest: ")
    assert "max_rejected_fraction" in last
    [parent] = place.parents()
    assert parent.info.status == "FAILED"
    assert parent.data.tags["failure"] == last.removeprefix("Error: ")
    assert {child.data.tags["candidate.state"] for child in place.children(parent)} == {"waiting"}
    assert {child.info.status for child in place.children(parent)} == {"FAILED"}
    assert place.client.search_model_versions("name = 'facial-expression'") == []


def test_a_csv_that_is_not_there_is_one_sentence_and_no_run(new_store: Callable[[Path], str], tmp_path: Path):
    place = Place(tmp_path, new_store(tmp_path))
    done = place.ferpipe("run", "--csv", str(tmp_path / "nowhere.csv"))
    assert done.returncode == 1
    assert done.stderr.strip().startswith("Error: locate: ")
    assert "nowhere.csv" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
