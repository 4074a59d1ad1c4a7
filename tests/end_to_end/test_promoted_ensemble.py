"""An ensemble's whole way, by the commands a person types: made, gated against a single champion, promoted, served over
HTTP, rolled back; its members are two seeds of one candidate, which are judged as a group."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.artifacts import load_text
from mlflow.entities import Run
from PIL import Image

from ferkit.tracking.store import connect
from tests.end_to_end.place import Place

CONFIG = """
train: {recipe: tuned, epochs: 2, batch_size: 64, tta: none}
candidates:
  - {architecture: lenet, width: 0.125, seeds: [0, 1]}
register: {floor_macro_f1: 0.0, floor_recall: 0.0}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


class Registry(Place):
    """Where the versions of a registered model live, and their candidates' runs."""

    def children_of_all(self) -> list[Run]:
        """Every candidate's run, ensembles too, oldest first."""
        experiment: Any = self.client.get_experiment_by_name("facial-expression")
        query = "tags.`run.kind` = 'candidate'"
        return list(self.client.search_runs([experiment.experiment_id], query, order_by=["start_time ASC"]))

    def architecture_of(self, run_id: str | None) -> str:
        return self.client.get_run(str(run_id)).data.tags["architecture"]

    def alias(self, name: str) -> str:
        return str(self.client.get_model_version_by_alias("facial-expression", name).version)


@pytest.fixture(scope="module")
def place(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("ensemble")
    address = new_store(folder)
    connect(address)  # MLflow's own functions look there, too
    return Registry(folder, address, CONFIG)


@pytest.fixture(scope="module")
def printed(place: Registry, sample_csv: Path) -> str:
    """What a run of two seeds and their ensemble printed."""
    shutil.copy(sample_csv, place.folder / "faces.csv")
    return place.run(place.folder / "faces.csv")


def test_two_seeds_are_one_group_in_the_terminal_and_in_mlflow(place: Registry, printed: str):
    seeds = [run for run in place.children_of_all() if run.data.tags.get("group") == "lenet-tuned"]
    assert sorted(run.data.params["seed"] for run in seeds) == ["0", "1"]
    assert {run.data.tags["candidate.state"] for run in seeds} == {"evaluated"}
    figures = [run.data.metrics["test/macro_f1"] for run in seeds]
    shown = f"{statistics.fmean(figures):.3f} ± {statistics.stdev(figures):.3f}"
    [line] = [line for line in printed.splitlines() if re.match(r"lenet-tuned +2 ", line)]
    assert shown in line
    parent = seeds[0].data.tags["mlflow.parentRunId"]
    table = load_text(f"runs:/{parent}/groups.csv")
    row = next(row for row in csv.DictReader(io.StringIO(table)) if row["figure"] == "test/macro_f1")
    assert (row["group"], row["n"]) == ("lenet-tuned", "2")
    assert float(row["mean"]) == pytest.approx(statistics.fmean(figures), abs=1e-6)
    assert shown in load_text(f"runs:/{parent}/report.html")


@pytest.fixture(scope="module")
def champion(place: Registry, printed: str) -> str:
    """The version of a single network that serves, chosen and forced by a person."""
    versions = place.client.search_model_versions("name = 'facial-expression'")
    single = min(int(version.version) for version in versions)
    place.succeeds("promote", str(single), "--force", "--reason", "a single champion to hold against")
    return place.alias("champion")


@pytest.fixture(scope="module")
def made(place: Registry, champion: str) -> dict[str, Any]:
    """What `ferpipe ensemble` said of the single champion and the other version, whose policy allows any loss."""
    others = [
        str(version.version)
        for version in place.client.search_model_versions("name = 'facial-expression'")
        if str(version.version) != champion and place.architecture_of(version.run_id) != "ensemble"
    ]
    generous = ["--set", "floor_macro_f1=0", "--set", "floor_recall=0", "--set", "allowed_loss=1"]
    return json.loads(place.succeeds("ensemble", champion, *others, "--weights", "fitted", *generous, "--json"))


def test_it_is_registered_and_gated_against_the_single_champion(place: Registry, champion: str, made: dict[str, Any]):
    version = place.client.get_model_version("facial-expression", made["challenger"]["version"])
    assert place.architecture_of(version.run_id) == "ensemble"
    assert (version.tags["validation_status"], version.tags["compared_with"]) == ("approved", champion)
    run = place.client.get_run(version.run_id)
    assert (run.info.status, run.data.tags["candidate.state"]) == ("FINISHED", "evaluated")
    parent = place.client.get_run(run.data.tags["mlflow.parentRunId"])
    assert (parent.info.status, parent.data.tags["run.kind"]) == ("FINISHED", "pipeline")
    assert {"cross_fitted/macro_f1", "test/macro_f1"} <= set(run.data.metrics)


@contextmanager
def served(place: Registry) -> Iterator[str]:
    """The champion behind MLflow's scoring server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/facial-expression@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    log = place.folder / "serve.log"
    environment = {**place.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with log.open("w") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as server:
        try:
            while True:
                assert server.poll() is None, log.read_text()[-3000:]
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            server.terminate()


def test_it_is_promoted_served_and_rolled_back(place: Registry, champion: str, made: dict[str, Any]):
    number = made["challenger"]["version"]
    place.succeeds("promote", number)
    assert place.alias("champion") == number

    face = np.add.outer(np.arange(48) * 3, np.arange(48) * 2).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(face).save(png, "PNG")
    body = json.dumps({"dataframe_split": {"columns": ["face"], "data": [[base64.b64encode(png.getvalue()).decode()]]}})
    with served(place) as address:
        request = urllib.request.Request(address, body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            [answer] = json.loads(reply.read())["predictions"]

    run = place.client.get_run(place.client.get_model_version("facial-expression", number).run_id)
    expected = np.zeros(7)
    for place_in_list in (1, 2):
        member = mlflow.pyfunc.load_model(f"runs:/{run.data.params[f'member.{place_in_list}']}/model")
        row = member.predict(pd.DataFrame({"face": [png.getvalue()]})).iloc[0]
        expected += float(run.data.params[f"weight.{place_in_list}"]) * row.drop("emotion").to_numpy(float)
    np.testing.assert_allclose([answer[name] for name in row.drop("emotion").index], expected, atol=1e-5)
    assert answer["emotion"] == row.drop("emotion").index[expected.argmax()]

    place.succeeds("rollback")
    assert place.alias("champion") == champion
