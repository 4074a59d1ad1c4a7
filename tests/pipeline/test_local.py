"""A local run's processes: whatever is killed, or goes away, nothing trains on unseen, and the run is told of."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow.entities import Run
from rich.console import Console

from ferkit.tracking import names, tree
from ferkit.tracking.store import connect
from pipeline.local import Home, run_here
from pipeline.parameters import Parameters
from pipeline.worker_process import ending_as_with_ctrl_c, start_worker, tell

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = """
train: {epochs: 50, batch_size: 64, tta: none}
candidates: [{architecture: lenet, width: 0.125}]
"""
SPEED = re.compile("seconds|images_per_second|^system/")
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Running:
    """A run that trains: the command, its worker with the step under it, and where it keeps what."""

    command: subprocess.Popen[str]
    worker: psutil.Process
    processes: list[psutil.Process]
    home: Path
    uri: str
    environment: dict[str, str]

    def ends(self) -> None:
        """Waits until the command and everything under it have gone."""
        _, alive = psutil.wait_procs(self.processes, timeout=60)
        assert alive == []

    def parent(self) -> Run:
        client = connect(self.uri)
        experiment = client.get_experiment_by_name(names.EXPERIMENT)
        assert experiment is not None
        [parent] = tree.search(client, experiment.experiment_id, f"tags.`{names.RUN_KIND}` = 'pipeline'")
        return parent


def hear_signals() -> None:
    """Undoes what is done to tests in the background, and what they start inherits: a shell has SIGINT ignored, `nohup`
    SIGHUP.
    """
    for sign in (signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, signal.SIG_DFL)


@pytest.fixture
def training(sample_csv: Path, new_store: Callable[[Path], str], tmp_path: Path) -> Iterator[Running]:
    """A run in the midst of its first epochs."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    uri, home = new_store(tmp_path), tmp_path / "home"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri, "FERPIPE_HOME": str(home)}
    words = ["run", "--csv", str(sample_csv), "--config", str(tmp_path / "config.yaml")]
    command = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=ROOT,
        preexec_fn=hear_signals,
    )
    assert command.stdout is not None
    log = Path(command.stdout.readline().split()[-1])
    while "epoch 1/50" not in log.read_text():
        assert command.poll() is None, log.read_text()[-3000:]
        time.sleep(0.1)
    [worker] = psutil.Process(command.pid).children()
    processes = [worker, *worker.children(recursive=True)]
    assert len(processes) >= 2
    yield Running(command, worker, processes, home, uri, environment)
    for process in [psutil.Process(command.pid)] if command.poll() is None else []:
        process.kill()


@pytest.mark.slow
def test_a_killed_command_leaves_nothing_behind_and_the_next_run_ends_its_run(training: Running):
    training.command.kill()
    training.ends()
    parent = training.parent()
    assert parent.info.status == "RUNNING"
    # The next run of the experiment finds the lock free; one that fails at once will do.
    words = ["run", "--csv", "sample://?faces=100&seed=0", "--set", "ingest.max_rejected_fraction=0"]
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words],
        env=training.environment,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    client = connect(training.uri)
    ended = client.get_run(parent.info.run_id)
    assert ended.info.status == "KILLED"
    assert "the command that ran it was gone" in ended.data.tags[names.FAILURE]
    assert {child.info.status for child in tree.children(client, ended)} == {"KILLED"}
    assert not list((training.home / "running").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGINT])
def test_a_terminal_that_goes_away_is_what_ctrl_c_is(training: Running, sign: signal.Signals):
    training.command.send_signal(sign)
    said, _ = training.command.communicate(timeout=60)
    training.ends()
    parent = training.parent()
    assert training.command.returncode == 1
    assert f"`ferpipe run --resume {parent.info.run_id}` goes on where it was" in said
    assert parent.info.status == "KILLED"
    assert not list((training.home / "running").iterdir())


@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGTERM])
def test_what_nohup_has_ignored_stays_ignored(sign: signal.Signals):
    before = signal.signal(sign, signal.SIG_IGN)
    try:
        with ending_as_with_ctrl_c():
            signal.raise_signal(sign)
        assert signal.getsignal(sign) is signal.SIG_IGN
        signal.signal(sign, signal.SIG_DFL)
        with ending_as_with_ctrl_c(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(sign)
        assert signal.getsignal(sign) is signal.SIG_DFL
    finally:
        signal.signal(sign, before)


@pytest.mark.slow
def test_a_worker_that_is_killed_alone_takes_its_step_along(training: Running):
    training.worker.kill()
    said, _ = training.command.communicate(timeout=60)
    training.ends()
    assert training.command.returncode == 1
    assert "the pipeline ended with status -9 without a word" in said
    [child] = tree.children(connect(training.uri), training.parent())
    assert (training.parent().info.status, child.info.status) == ("FAILED", "FAILED")


def test_a_worker_that_is_gone_before_it_is_told_is_no_error_of_ours():
    """The run's sentence says that it ended without a word; a pipe that nobody reads must not come first."""
    with start_worker(os.environ, is_forking=False) as worker:
        worker.kill()
        worker.wait()
        tell(worker, {"arguments": "x" * 100_000})
    assert worker.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_forks_and_processes_of_their_own_come_to_the_same(
    new_store: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Bit-equal, every metric of training and evaluation that is no speed."""
    settings = {
        "csv": "sample://?faces=400&seed=0",
        "ingest": {"max_rejected_fraction": 0.2},
        "train": {"epochs": 2, "batch_size": 64},
        "candidates": [{"architecture": "lenet", "width": 0.125}],
    }
    found = {}
    for is_forking in (True, False):
        folder = tmp_path / f"{is_forking}"
        folder.mkdir()
        monkeypatch.setattr("pipeline.local.can_fork", lambda arguments, forks=is_forking: forks)
        uri = new_store(folder)
        outcome = run_here(
            Parameters.parse(settings), tracking_uri=uri, home=Home(folder), console=Console(file=io.StringIO())
        )
        assert outcome.failure == ""
        assert outcome.parent is not None
        client = connect(uri)
        [child] = tree.children(client, outcome.parent)
        metrics = client.get_run(child.info.run_id).data.metrics
        found[is_forking] = {name: value for name, value in metrics.items() if not SPEED.search(name)}
    assert found[True] == found[False]
    assert {"val/macro_f1", "test/macro_f1", "test_clean/accuracy"} <= set(found[True])


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Its address, and what it was told."""
    told: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the terminal."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_the_csvs_secret_is_on_no_command_line_in_no_file_and_not_in_what_the_webhook_is_told(
    new_store: Callable[[Path], str], tmp_path: Path, webhook: tuple[str, list[dict[str, str]]]
):
    """It reaches the steps by the environment, which only the user's own processes can read."""
    uri, (address, told) = new_store(tmp_path), webhook
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri, "FERPIPE_WEBHOOK": address}
    csv = "http://ann:hunter2@127.0.0.1:9/fer.csv?X-Amz-Signature=hunter3"
    command = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "run", "--csv", csv, "--home", str(tmp_path / "elsewhere")],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    own = psutil.Process(command.pid)
    typed = own.cmdline()
    seen: set[tuple[str, ...]] = set()
    while command.poll() is None:
        for process in own.children(recursive=True):
            try:
                seen.add((process.name(), *process.cmdline()))
            except psutil.Error:  # it has just ended
                continue
        time.sleep(0.05)
    assert {"locate", "close_run"} <= {name for name, *_ in seen}
    # Until it starts something else, a new process shows what its parent was called with.
    assert not [words for _, *words in seen if "hunter" in " ".join(words) and words != typed]
    written = [path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter" in path.read_bytes()]
    [outcome] = told
    assert outcome["status"] == "FAILED"
    assert outcome["failure"].startswith("locate: http://127.0.0.1:9/fer.csv: cannot be reached"), "the step's sentence"
    assert "hunter" not in str(outcome)
