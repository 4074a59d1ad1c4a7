"""The whole run, killed at any moment and resumed, again and again: nothing lost, doubled, or left behind.

Moments are drawn: a line that the command prints, and up to two seconds more. No assertion depends on where in the run
that is; a run that was faster than its kill is counted as such.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import psutil
import pytest
from mlflow.entities import Run

from ferkit.data.sample import draw_csv
from tests.abuse.conftest import Attempts
from tests.abuse.sentences import assert_one_sentence
from tests.small_run import OPENED, one_small_network

pytestmark = [pytest.mark.kills, pytest.mark.timeout(3600)]

LINES = 12
"""Lines among which the moment is drawn: a whole run prints some more."""


class Place:
    """A folder with an MLflow of its own, in which runs are started, killed and gone on with."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store = folder, store
        self.client = mlflow.MlflowClient(store, store)
        self.unfinished = ""
        """The parent run to go on with; empty where a new one begins."""
        (folder / "tmp").mkdir()
        (folder / "config.yaml").write_text(one_small_network(epochs=3, batch_size=32))
        draw_csv(folder / "faces.csv", faces=300, seed=0)

    def start(self) -> subprocess.Popen[str]:
        given = ["--csv", str(self.folder / "faces.csv"), "--config", str(self.folder / "config.yaml")]
        words = ["--resume", self.unfinished] if self.unfinished else given
        home, scratch = str(self.folder / "home"), str(self.folder / "tmp")
        environment = {**os.environ, "FERPIPE_HOME": home, "TMPDIR": scratch, "MLFLOW_TRACKING_URI": self.store}
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "pipeline.cli", "run", *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under `nohup` it stays ignored
        )

    def parents(self) -> list[Run]:
        """The pipeline runs, oldest first."""
        found = self.client.get_experiment_by_name("facial-expression")
        if found is None:
            return []
        query = "tags.`run.kind` = 'pipeline'"
        return list(self.client.search_runs([found.experiment_id], query, order_by=["attributes.start_time ASC"]))


def kill_command(command: psutil.Process, sign: signal.Signals) -> None:
    command.send_signal(sign)


def kill_worker(command: psutil.Process, sign: signal.Signals) -> None:
    for worker in command.children():
        worker.send_signal(sign)


def kill_fork_server(command: psutil.Process, sign: signal.Signals) -> None:
    for worker in command.children():
        for server in worker.children():
            server.send_signal(sign)


def kill_step(command: psutil.Process, sign: signal.Signals) -> None:
    for process in command.children(recursive=True)[-1:]:
        process.send_signal(sign)


KILLS: list[tuple[str, Callable[[psutil.Process, signal.Signals], None], signal.Signals]] = [
    ("command, SIGKILL", kill_command, signal.SIGKILL),
    ("command, SIGTERM", kill_command, signal.SIGTERM),
    ("command, SIGHUP", kill_command, signal.SIGHUP),
    ("worker, SIGKILL", kill_worker, signal.SIGKILL),
    ("fork server, SIGKILL", kill_fork_server, signal.SIGKILL),
    ("step, SIGKILL", kill_step, signal.SIGKILL),
]


@pytest.fixture
def place(new_store: Callable[[Path], str], tmp_path: Path) -> Place:
    return Place(tmp_path, new_store(tmp_path))


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_never_had_been(
    place: Place, attempts: Callable[[str, int], Attempts]
) -> None:
    kills = attempts("kills of the whole run", 60)
    for number, dice in kills:
        what, kill, sign = KILLS[number % len(KILLS)]
        kills.ended(what if attack(place, dice, kill, sign) else "faster than its kill")
    if place.unfinished:
        running = place.start()
        told, said = running.communicate()
        assert running.returncode == 0, told + said
    parents = place.parents()
    assert [parent.info.status for parent in parents] == ["FINISHED"] * len(parents)
    for parent in parents:
        assert_whole(place.client, parent)
    versions = place.client.search_model_versions("")
    assert len({version.run_id for version in versions}) == len(versions) == len(parents)
    assert list((place.folder / "home" / "running").glob("*/tmp/*")) == []
    assert list((place.folder / "home" / "state").glob("**/.state-*")) == []
    assert list(place.folder.glob(".mlflow-*")) == []


def attack(
    place: Place,
    dice: random.Random,
    kill: Callable[[psutil.Process, signal.Signals], None],
    sign: signal.Signals,
) -> bool:
    """One start, and one kill at a drawn moment. False where the run had ended before."""
    running = place.start()
    command = psutil.Process(running.pid)
    assert running.stdout is not None
    assert running.stderr is not None
    lines = [line for _ in range(dice.randint(1, LINES)) if (line := running.stdout.readline())]
    time.sleep(dice.uniform(0, 2))
    under_it = [command, *children_of(command)]
    kill(command, sign)
    rest, said = running.communicate()
    printed = "".join(lines) + rest
    _, living = psutil.wait_procs(under_it, timeout=120)
    assert living == [], (living, printed)
    if running.returncode == 0:
        place.unfinished = ""
        return False
    if kill is not kill_command:  # which lives to tell; itself, it may be before its first line or after its last
        assert running.returncode == 1, (running.returncode, printed, said)
        last = said.strip().splitlines()[-1]
        assert last.startswith("Error: "), (printed, said)
        assert_one_sentence(last.removeprefix("Error: "))
    opened = OPENED.search(printed)
    known = [parent for parent in place.parents() if parent.info.status != "FINISHED"]
    assert opened is None or len(known) == 1
    place.unfinished = known[0].info.run_id if known else ""
    return True


def children_of(command: psutil.Process) -> list[psutil.Process]:
    """All processes under it; none where it is gone."""
    try:
        return command.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def assert_whole(client: mlflow.MlflowClient, parent: Run) -> None:
    """The tree of a run that nobody ever killed."""
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert [(child.info.status, child.data.tags["candidate.state"]) for child in children] == [
        ("FINISHED", "evaluated")
    ]
    [child] = children
    for name in ("train/loss", "val/macro_f1"):
        assert [point.step for point in client.get_metric_history(child.info.run_id, name)] == [1, 2, 3]
    query = f"source_run_id = '{child.info.run_id}'"
    models = client.search_logged_models([parent.info.experiment_id], filter_string=query)
    assert [str(model.status) for model in models] == ["READY"]
