"""A laptop's runs, models and record of promotions on a new team server, as docs/mlflow.md moves them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from team import ROLES, Team, environment_of, new_server

from ferkit.registry.promotion import promote
from ferkit.tracking import names, tree
from ferkit.tracking.store import connect
from pipeline.cli import cli

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

FACE = np.random.default_rng(7).integers(0, 256, (48, 48), np.uint8)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with new_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def laptop(logged_model: LoggedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A laptop's mlflow.db: a pipeline run, its candidate with a metric, a picture and a model, which is champion."""
    store = tmp_path_factory.mktemp("laptop") / "mlflow.db"
    shutil.copy(logged_model.tracking_uri.removeprefix("sqlite:///"), store)
    client = connect(f"sqlite:///{store}")
    client.delete_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION)
    for name, value in ((names.VALIDATION_STATUS, "approved"), (names.COMPARED_WITH, "none")):
        client.set_model_version_tag(names.REGISTERED_MODEL, "1", name, value)
    for step in range(3):
        client.log_metric(logged_model.run_id, "train/loss", 1 / (step + 1), step=step)
    client.log_text(logged_model.run_id, "seven", "deep/text.txt")
    tree.close(client, logged_model.run_id)
    promote(client, "1", by="ann", reason="the first")
    return store


def history(address: str) -> list[dict[str, object]]:
    return json.loads(CliRunner().invoke(cli, ["history", "--json", "--tracking-uri", address]).stdout)


def answer(address: str, cache: Path) -> pd.DataFrame:
    """What the champion says to a face; its files are fetched from where it is registered."""
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    cache.mkdir()
    model = mlflow.pyfunc.load_model(f"models:/{names.REGISTERED_MODEL}@{names.CHAMPION}", dst_path=str(cache))
    return model.predict(pd.DataFrame({"face": [FACE]}))


def test_everything_is_there_under_its_id(
    server: Team, laptop: Path, logged_model: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"sqlite:///{laptop}"
    recorded, said = history(here), answer(here, tmp_path / "here")
    before = laptop.read_bytes()
    moved = server.administer("move_store.py", str(laptop))
    assert moved.returncode == 0, moved.stderr
    assert " runs" in moved.stdout
    assert laptop.read_bytes() == before

    for name, role in ROLES.items():
        server.add_user(name, role)
    for name, value in environment_of("rita", server.address).items():
        monkeypatch.setenv(name, value)
    client = connect(server.address)
    assert history(server.address) == recorded
    run = client.get_run(logged_model.run_id)
    assert run.info.artifact_uri == f"mlflow-artifacts:/{run.info.experiment_id}/{logged_model.run_id}/artifacts"
    points = client.get_metric_history(logged_model.run_id, "train/loss")
    assert [point.value for point in points] == [1, 1 / 2, 1 / 3]
    there = client.download_artifacts(logged_model.run_id, "deep/text.txt", str(tmp_path))
    assert Path(there).read_text() == "seven"
    pd.testing.assert_frame_equal(answer(server.address, tmp_path / "there"), said)

    # And it goes on: ids that follow, a promotion that knows the one before.
    for name, value in environment_of("theo", server.address).items():
        monkeypatch.setenv(name, value)
    assert int(client.create_experiment("after the move")) > int(run.info.experiment_id)
    run_id = client.create_run(run.info.experiment_id, tags={names.RUN_KIND: "candidate"}).info.run_id
    tags = {names.VALIDATION_STATUS: "approved", names.COMPARED_WITH: "1"}
    made = client.create_model_version(names.REGISTERED_MODEL, "s3://nowhere/model", run_id, tags=tags)
    assert str(made.version) == "2"
    assert server.ferpipe("petra", "promote", "2").stdout == "version 2 is champion instead of version 1\n"
    assert [entry["by"] for entry in history(server.address)] == ["ann", "petra"]


def test_a_server_that_holds_runs_already_is_left_alone(server: Team, laptop: Path) -> None:
    refused = server.administer("move_store.py", str(laptop))
    assert refused.returncode == 1
    assert "this server holds" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_store_of_another_mlflow_is_refused_with_the_command_that_brings_it_up(
    server: Team, laptop: Path, tmp_path: Path
) -> None:
    old = tmp_path / "mlflow.db"
    shutil.copy(laptop, old)
    with sqlite3.connect(old) as store:
        store.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
    refused = server.administer("move_store.py", str(old))
    assert refused.returncode == 1
    assert "mlflow db upgrade sqlite:///mlflow.db" in refused.stderr
    assert "no such file" in server.administer("move_store.py", str(tmp_path / "absent.db")).stderr
