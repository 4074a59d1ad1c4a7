"""`ferpipe compare` without RUNS, on a store with good, failed, running and empty pipeline runs of two data sets."""

from __future__ import annotations

import csv
import io
import json
import shutil
import socket
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, InputTag

from ferkit.data import EMOTIONS
from ferkit.errors import UserError
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NewCandidate, open_candidates
from ferkit.tracking.names import metric
from ferkit.tracking.short_ids import find_run
from ferkit.tracking.store import connect
from pipeline.cli import cli

FIRST = 4_000_000_000_000
"""When the first pipeline run of a store began, in ms; each later one a minute after the one before."""


class Store:
    """An MLflow store that pipeline runs are written to as the steps write them, without pictures and models."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.client: mlflow.MlflowClient = connect(uri)
        self.experiment_id = tree.experiment_id(self.client, names.EXPERIMENT)
        self.minutes = 0

    def pipeline_run(
        self,
        scores: Mapping[str, float | None],
        data: str = "fer2013",
        status: str = "FINISHED",
        read_test: bool = True,
        digest: str = "d1" * 16,
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Run ids by name, the parent's under `parent`; a candidate's score is its macro-F1 on test and validation."""
        tags = {names.RUN_KIND: "pipeline", names.DATA_NAME: data}
        start = FIRST + self.minutes * 60_000
        self.minutes += 1
        parent = self.client.create_run(self.experiment_id, tags=tags, start_time=start)
        new = [
            NewCandidate(
                f"{name}-{start}",
                name,
                "lenet",
                {"architecture": "lenet", "recipe": "tuned", "seed": 0, **(settings or {})},
                {names.DATA_NAME: data, names.DATA_DIGEST: digest},
            )
            for name in scores
        ]
        run_ids = open_candidates(self.client, parent, new, parameters=parameters) if new else []
        for run_id, score in zip(run_ids, scores.values(), strict=True):
            if score is None:
                tree.close(self.client, run_id, "FAILED", "the loss is [nan]")
            else:
                self.evaluated(run_id, score, digest, read_test)
        if status == "RUNNING":
            self.client.update_run(parent.info.run_id, status="RUNNING")
        else:
            tree.close(self.client, parent.info.run_id, status)
        return {"parent": parent.info.run_id, **dict(zip(scores, run_ids, strict=True))}

    def evaluated(self, run_id: str, score: float, digest: str, read_test: bool) -> None:
        self.client.log_metric(run_id, metric("validation", "macro_f1"), 1 - score)  # the other way round than on test
        if read_test:
            self.client.log_metric(run_id, metric("test", "macro_f1"), score)
            self.client.log_metric(run_id, metric("test", "accuracy"), score)
            self.client.log_text(run_id, predictions(score), "evaluation/test/predictions.csv")
            test = MetaDataset(HTTPDatasetSource("http://localhost/faces.csv"), name="test", digest=digest)
            given = DatasetInput(test._to_mlflow_entity(), [InputTag("mlflow.data.context", "testing")])
            self.client.log_inputs(run_id, [given])
        tree.close(self.client, run_id)

    def ferpipe(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [*words, "--tracking-uri", self.uri])

    def rows(self, *words: str) -> list[dict]:
        done = self.ferpipe("compare", *words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


def predictions(right: float) -> str:
    lines = ["row,in_train,truth,prediction"]
    for row in range(700):
        label = row % 7
        answer = label if (row // 7) % 10 < 10 * right else (label + 1) % 7
        lines.append(f"{row},False,{EMOTIONS[label]},{EMOTIONS[answer]}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def empty(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    new_store(folder)
    return folder / "mlflow.db"


@pytest.fixture
def store(empty: Path, tmp_path: Path) -> Store:
    return Store(f"sqlite:///{shutil.copy(empty, tmp_path / 'mlflow.db')}")


def test_failed_running_and_empty_runs_are_passed_over_and_counted(store: Store) -> None:
    store.pipeline_run({"too-old": 0.4})
    store.pipeline_run({"lost": None}, status="FAILED")
    store.pipeline_run({"first": 0.5})
    store.pipeline_run({}, status="FAILED")
    store.pipeline_run({"unscored": None})
    store.pipeline_run({"second": 0.6})
    store.pipeline_run({"third": 0.7}, status="RUNNING")
    shown = store.ferpipe("compare", "--last", "2")
    assert shown.stderr == (
        "note: passed over 3 pipeline runs: 1 failed, 1 still running, 1 without a scored candidate\n"
    )
    assert [row["name"] for row in store.rows("--last", "2")] == ["second", "first"]


def test_nothing_but_failed_runs_is_said_with_what_to_do(store: Store) -> None:
    store.pipeline_run({}, status="FAILED")
    refused = store.ferpipe("compare")
    assert refused.exit_code == 1
    assert "has a scored candidate (1 failed); start one with `ferpipe run`" in refused.output


def test_the_table_is_sorted_by_the_figure_with_the_arrow(store: Store) -> None:
    store.pipeline_run({"a": 0.5, "b": 0.7, "c": None, "d": 0.6})
    assert [row["name"] for row in store.rows()] == ["b", "d", "a", "c"]
    shown = store.ferpipe("compare").stdout
    assert "test ↓" in shown
    assert "validation  " in shown
    assert "c failed: the loss is [nan]" in shown


def test_where_test_was_left_unread_validation_is_shown_and_sorts(store: Store) -> None:
    store.pipeline_run({"a": 0.5, "b": 0.7}, read_test=False)
    assert [row["name"] for row in store.rows()] == ["a", "b"]
    shown = store.ferpipe("compare").stdout
    assert "validation ↓" in shown
    assert "test" not in shown


def test_a_row_says_run_date_data_and_what_differs(store: Store) -> None:
    parameters = {"balance.strategy": "undersampling", "ingest.split_seed": "0"}
    old = store.pipeline_run({"a": 0.5}, parameters=parameters, settings={"epochs": "30", "width": "0.5"})
    new = store.pipeline_run(
        {"b width=1": 0.7},
        data="rafdb",
        digest="e2" * 16,
        parameters=parameters | {"balance.strategy": "none"},
        settings={"epochs": "3", "width": "1"},
    )
    by_name = {row["name"]: row for row in store.rows()}
    assert by_name["a"]["differs"] == {"balance.strategy": "undersampling", "epochs": "30", "width": "0.5"}
    shown = store.ferpipe("compare").stdout
    words = [old["a"], old["parent"], new["b width=1"], new["parent"], "d1d1d1d1", "e2e2e2e2"]
    words = [word[:8] for word in words] + ["fer2013", "rafdb", "2096-10-02", "07:06", "07:07"]
    words += ["balance.strategy=none", "balance.strategy=undersampling", "epochs=3 ", "epochs=30 ", "width=0.5"]
    assert [word for word in words if word not in shown] == []
    assert shown.count("width=1") == 1  # in the name; not once more
    assert "split_seed" not in shown
    table = csv.DictReader(io.StringIO(store.ferpipe("compare", "--csv").stdout))
    (line,) = [line for line in table if line["name"] == "a"]
    assert line["differs"] == "balance.strategy=undersampling; epochs=30; width=0.5"


def test_members_of_an_ensemble_are_named_by_the_beginning_of_their_ids(store: Store) -> None:
    store.pipeline_run({"a": 0.5}, settings={"member.1": "1f2e3d4c" * 4})
    store.pipeline_run({"b": 0.6}, settings={"member.1": "5a6b7c8d" * 4})
    shown = store.ferpipe("compare").stdout
    assert [line.split("member.1=")[1].split()[0] for line in shown.splitlines() if "member" in line] == [
        "5a6b7c8d",
        "1f2e3d4c",
    ]
    assert [row["differs"]["member.1"] for row in store.rows()] == ["5a6b7c8d" * 4, "1f2e3d4c" * 4]


def test_candidates_of_equal_parameters_have_no_column_for_them(store: Store) -> None:
    store.pipeline_run({"a": 0.5}, settings={"epochs": "3"})
    store.pipeline_run({"b": 0.6}, settings={"epochs": "3"})
    assert "parameters" not in store.ferpipe("compare").stdout


def test_equal_row_numbers_of_other_pixels_are_not_the_same_rows(store: Store) -> None:
    store.pipeline_run({"a": 0.5})
    store.pipeline_run({"b": 0.6}, digest="e2" * 16)
    assert [row["against"] for row in store.rows() if row["name"] == "b"] == ["scored on other test faces"]


def test_files_that_are_out_of_reach_are_told_from_those_that_are_not_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = store.pipeline_run({"a": 0.5, "b": 0.6, "c": 0.7})
    unread = store.pipeline_run({"d": 0.8}, read_test=False)
    folder = Path(store.client.get_run(runs["c"]).info.artifact_uri.removeprefix("file://"))
    shutil.rmtree(folder / "evaluation")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for name, value in {
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "AWS_MAX_ATTEMPTS": "1",
        **dict.fromkeys(keys, "x"),
    }.items():
        monkeypatch.setenv(name, value)
    with closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as database, database:
        away = [runs["b"], runs["parent"]]
        database.execute("UPDATE runs SET artifact_uri = 's3://mlflow/1/b' WHERE run_uuid IN (?, ?)", away)
    against = {row["name"]: row["against"] for row in store.rows(*runs.values(), unread["d"], "--against", runs["a"])}
    assert against == {
        "a": None,
        "b": "its predictions in s3://mlflow are out of reach",
        "c": "no predictions to compare",
        "d": "test was left unread",
    }
    report = store.ferpipe("report", runs["parent"])
    assert report.exit_code == 1
    assert report.output == (
        f"Error: the store of files of MLflow at {store.uri} does not answer (nothing listens at {endpoint}); start "
        "it, or set MLFLOW_S3_ENDPOINT_URL, for S3, to where it is\n"
    )


def test_without_a_digest_row_numbers_and_labels_decide(store: Store) -> None:
    store.pipeline_run({"a": 0.5})
    runs = store.pipeline_run({"b": 0.6, "c": 0.7}, read_test=False)
    for name in ("b", "c"):
        store.client.log_metric(runs[name], metric("test", "macro_f1"), 0.6)
    store.client.log_text(runs["b"], predictions(0.6), "evaluation/test/predictions.csv")
    other_rows = predictions(0.7).replace("\n0,", "\n700,")
    store.client.log_text(runs["c"], other_rows, "evaluation/test/predictions.csv")
    against = {row["name"]: row["against"] for row in store.rows("--against", runs["b"])}
    assert against["a"]["macro_f1"]["difference"] == pytest.approx(-0.1, abs=1e-9)
    assert against["c"] == "scored on other test rows, or in another order"


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    run = store.pipeline_run({"a": 0.5})["a"]
    assert find_run(store.client, run[:7]).info.run_id == run
    for beginning, said in (("0" * 7, "no such run"), (run[:6], "use 7 to 32"), ("'; --", "use 7 to 32")):
        with pytest.raises(UserError, match=said):
            find_run(store.client, beginning)


def test_a_deleted_run_is_named_with_the_command_that_restores_it(store: Store) -> None:
    run = store.pipeline_run({"a": 0.5})["a"]
    store.client.delete_run(run)
    with pytest.raises(UserError, match=f"^run {run} is in the trash; `mlflow runs restore --run-id {run}`"):
        find_run(store.client, run[:7])
    experiment_id = store.client.create_experiment("deleted")
    run = store.client.create_run(experiment_id).info.run_id
    store.client.delete_experiment(experiment_id)
    with pytest.raises(UserError, match=f"{run}: its experiment .* `mlflow experiments restore --experiment-id"):
        find_run(store.client, run[:7])


def test_a_beginning_that_two_runs_share_is_refused(store: Store) -> None:
    runs = store.pipeline_run({"a": 0.5, "b": 0.5})
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as database:
        for name, run_id in (("a", "abcdef01" + "0" * 24), ("b", "abcdef01" + "1" * 24)):
            database.execute("PRAGMA foreign_keys = OFF")
            database.execute("UPDATE runs SET run_uuid = ? WHERE run_uuid = ?", (run_id, runs[name]))
    with pytest.raises(UserError, match="more than one run's id begins so"):
        find_run(store.client, "abcdef01")
