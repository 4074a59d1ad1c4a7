"""`ferpipe clean`: what goes, what stays, and that MLflow is left as it is."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from kfp import dsl
from kfp.local.cache import LocalCache

from ferkit.registry.data import DATA_URI
from ferkit.registry.ledger import Ledger
from ferkit.registry.versions import BY, OURS
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NewCandidate, open_candidates, set_state
from ferkit.tracking.store import connect
from pipeline.cli import cli

OLD = time.time() - 40 * 24 * 3600


@dataclass(frozen=True)
class Place:
    """A home in which runs of all kinds have been, and the MLflow that knows them."""

    home: Path
    store: str
    client: mlflow.MlflowClient
    goes: dict[str, str]
    """Paths under the home, or beside the store, with their kinds."""
    stays: tuple[str, ...]

    def clean(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["clean", "--home", str(self.home), "--tracking-uri", self.store, *words])

    def whole(self, path: str) -> Path:
        return self.home.parent / path


@pytest.fixture
def place(new_store: Callable[[Path], str], sample_faces: Path, tmp_path: Path) -> Place:
    store, home = new_store(tmp_path), tmp_path / "home"
    client = connect(store)

    def put(path: str, size: int = 1000) -> Path:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"0" * size)
        return tmp_path / path

    def data_set(run: str) -> Path:
        return Path(shutil.copytree(sample_faces, home / "artifacts" / run / "balance" / "balanced"))

    parent = client.create_run(tree.experiment_id(client, names.EXPERIMENT), tags={names.RUN_KIND: "pipeline"})
    done, waiting = open_candidates(client, parent, [NewCandidate(n, n, "lenet", {"seed": 0}) for n in ("a", "b")])
    set_state(client, done, names.State.EVALUATED)
    parent_id = parent.info.run_id
    client.create_registered_model(names.REGISTERED_MODEL, tags={OURS: BY})
    judged = data_set("old-and-judged")
    client.create_model_version(names.REGISTERED_MODEL, "s3://nowhere/model", tags={DATA_URI: str(judged)})
    Ledger(client).entries()
    cache = LocalCache(str(home / "cache"))
    for run in ("old", "old-and-cached"):
        cache.put(run, {"balanced": dsl.Dataset(name="balanced", uri=str(data_set(run)))})
    put("home/running/killed/tmp/model")
    put("home/running/killed/lock", 0)
    for candidate in (done, waiting, "f" * 32):  # the last is of another MLflow
        put(f"home/state/{parent_id}/{candidate}/state.npz")
    put("home/logs/old.log")
    put("home/logs/young.log")
    put("home/artifacts/young/locate/executor_output.json")
    put(".mlflow-1f/mlflow.db")
    put(".mlflow-young/mlflow.db")
    for path in ("cache/old.json", "logs/old.log", "artifacts/old", "artifacts/old-and-cached"):
        os.utime(home / path, (OLD, OLD))
    os.utime(home / "artifacts/old-and-judged", (OLD, OLD))
    os.utime(tmp_path / ".mlflow-1f", (OLD, OLD))
    goes = {
        "home/running/killed/tmp": "temporary files of killed runs",
        ".mlflow-1f": "half-made stores",
        "home/cache/old.json": "cache entries",
        "home/artifacts/old": "files of runs",
        f"home/state/{parent_id}/{done}": "states of finished trainings",
        "home/logs/old.log": "logs",
    }
    stays = (
        "home/running/killed/lock",
        ".mlflow-young/mlflow.db",
        "home/cache/old-and-cached.json",
        "home/artifacts/old-and-cached/balance/balanced/train.parquet",
        "home/artifacts/old-and-judged/balance/balanced/test.parquet",
        "home/artifacts/young/locate/executor_output.json",
        f"home/state/{parent_id}/{waiting}/state.npz",
        f"home/state/{parent_id}/{'f' * 32}/state.npz",
        "home/logs/young.log",
    )
    return Place(home, store, client, goes, stays)


def runs_of(client: mlflow.MlflowClient) -> list[tuple[str, str, dict[str, str]]]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [(run.info.run_id, run.info.status, run.data.tags) for run in client.search_runs(experiments)]


def test_what_nobody_needs_goes_and_all_else_stays(place: Place):
    before = runs_of(place.client)
    told = place.clean("--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert {one["path"]: one["kind"] for one in found} == {
        str(place.whole(path)): kind for path, kind in place.goes.items()
    }
    assert [path for path in place.goes if place.whole(path).exists()] == []
    assert [path for path in place.stays if not place.whole(path).exists()] == []
    assert runs_of(place.client) == before
    assert json.loads(place.clean("--json").stdout) == []


def test_a_dry_run_says_what_would_go_and_how_much_and_removes_nothing(place: Place):
    told = place.clean("--dry-run")
    assert told.exit_code == 0, told.output
    for path in place.goes:
        assert f"       {place.whole(path)}\n" in told.stdout
        assert place.whole(path).exists()
    weighed = sum(
        file.stat().st_size
        for path in place.goes
        for file in (place.whole(path), *place.whole(path).rglob("*"))
        if file.is_file()
    )
    assert told.stdout.splitlines()[-1].split() == ["6", "would", "go,", "together", f"{weighed / 1e6:,.1f}", "MB"]


def test_whatever_its_age_what_is_still_needed_stays(place: Place):
    told = place.clean("--older-than", "0")
    assert told.exit_code == 0, told.output
    young = ("home/cache/", "home/logs/", "home/artifacts/young/", "home/artifacts/old-and-cached/")
    assert [path for path in place.stays if place.whole(path).exists() == path.startswith(young)] == []


def test_where_nothing_ran_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli, ["clean", "--json"], env={"MLFLOW_TRACKING_URI": ""})
    assert (told.exit_code, json.loads(told.stdout)) == (0, [])
    assert list(tmp_path.iterdir()) == []


def test_without_its_store_nothing_is_removed(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    refused = CliRunner().invoke(cli, ["clean", "--home", str(place.home)], env={"MLFLOW_TRACKING_URI": ""})
    assert refused.exit_code == 1
    assert "mlflow.db: no such file, and the runs in it say what in" in refused.stderr
    assert all(place.whole(path).exists() for path in place.goes)
    assert list(elsewhere.iterdir()) == []


def test_nothing_is_removed_while_a_run_is_under_way(place: Place):
    with FileLock(place.home / "running" / "killed" / "lock"):
        refused = place.clean()
    assert refused.exit_code == 1
    assert "home: a run is under way there; clean when it has ended, or stop it first\n" in refused.stderr
    assert all(place.whole(path).exists() for path in place.goes)


def test_without_its_mlflow_nothing_is_removed(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    refused = place.clean("--tracking-uri", "http://127.0.0.1:9")
    assert refused.exit_code == 1
    assert "does not answer (connection refused)" in refused.stderr
    assert all(place.whole(path).exists() for path in place.goes)
