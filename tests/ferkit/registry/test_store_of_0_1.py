"""What version 0.1 left in MLflow (runs, champion, ledger) is compared, gated, promoted and rolled back by this code.

The store was written by 0.1 itself, commit 5305e54: two runs of two tiny networks on 300 drawn faces, the first one's
better candidate promoted. Pictures, reports and system metrics were taken out, and its folder is called /FOLDER.
"""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ferkit.registry.state import read_state
from ferkit.tracking import names
from ferkit.tracking.store import connect
from pipeline.cli import cli

PACKED = Path(__file__).with_name("store-of-0.1.tar.xz")
LENIENT = ["--set", "floor_macro_f1=0", "--set", "floor_recall=0", "--set", "allowed_loss=1"]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The store, in a folder of its own."""
    with tarfile.open(PACKED) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "store-of-0.1"
    for file in folder.rglob("MLmodel"):
        file.write_text(file.read_text().replace("/FOLDER", str(folder)))
    with sqlite3.connect(folder / "mlflow.db") as database:
        for table, column in (
            ("runs", "artifact_uri"),
            ("experiments", "artifact_location"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
            ("model_version_tags", "value"),
        ):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, '/FOLDER', ?)", (str(folder),))
    return f"sqlite:///{folder / 'mlflow.db'}"


def ferpipe(uri: str, *words: str) -> Any:
    """What a command printed, as JSON."""
    done = CliRunner().invoke(cli, [*words, "--tracking-uri", uri, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def champion(uri: str) -> str:
    return str(connect(uri).get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version)


def test_its_runs_are_compared_gated_promoted_and_rolled_back(uri: str) -> None:
    rows = ferpipe(uri, "compare")
    assert sorted(row["version"] for row in rows) == ["1", "2", "3", "4"]
    assert {row["alias"] for row in rows} == {"", "champion"}
    assert all(row["against"]["rows"] > 0 for row in rows if row["alias"] != "champion")

    assert read_state(connect(uri)).notes == ()

    verdict = ferpipe(uri, "gate", "3", *LENIENT)
    assert (verdict["status"], verdict["compared_with"]) == ("approved", "2")
    assert ferpipe(uri, "promote")["champion"] == "3"
    assert champion(uri) == "3"
    assert [entry["version"] for entry in ferpipe(uri, "history")] == ["2", "3"]
    assert ferpipe(uri, "rollback")["champion"] == "2"
    assert champion(uri) == "2"


@pytest.mark.slow
def test_its_runs_are_not_resumed(uri: str, tmp_path: Path) -> None:
    client = connect(uri)
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    assert experiment is not None
    [parent, *_] = client.search_runs([experiment.experiment_id], "tags.`run.kind` = 'pipeline'")
    words = ["run", "--resume", parent.info.run_id, "--home", str(tmp_path / "home"), "--tracking-uri", uri]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert f"run {parent.info.run_id} began with version 0.1 of this pipeline" in done.output
