"""A run on a real file system that fills up: one sentence with the path and the cure, and work that goes on then."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from tests.abuse.sentences import assert_one_sentence
from tests.small_run import OPENED, one_small_network

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; of more by `mount -o remount,size=`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # MLflow's client in this process keeps the store open


def test_a_run_on_a_disk_that_fills_up_says_so_and_goes_on_when_there_is_room(disk: Path, tmp_path: Path):
    store = f"sqlite:///{disk / 'mlflow.db'}"
    given = ("--csv", "sample://?faces=600&seed=0", "--config", "config.yaml")
    (tmp_path / "config.yaml").write_text(one_small_network(epochs=1))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pipeline.cli", "run", *words],
            env={**os.environ, "FERPIPE_HOME": str(disk / "home"), "MLFLOW_TRACKING_URI": store},
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    ended = run(*given)
    *shown, last = ended.stdout.splitlines()
    assert ended.returncode == 1
    assert_one_sentence(last)
    assert str(disk) in last
    assert "make room" in last
    assert not [line for line in shown if "Traceback" in line or "sqlalchemy" in line]

    subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    opened = OPENED.search(ended.stdout)
    again = run("--resume", opened[1]) if opened else run(*given)
    assert again.returncode == 0, again.stdout
    client = mlflow.MlflowClient(store, store)
    assert len(client.search_model_versions("")) == 1
