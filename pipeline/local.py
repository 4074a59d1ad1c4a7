"""Run the pipeline here, now: kfp's local runner, MLflow wherever it is, no Docker and no cluster.

What kfp prints goes to a log file; a person sees one calm line per step.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import mlflow
import psutil
import yaml
from mlflow.artifacts import load_text
from mlflow.entities import Run
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.text import Text

from components.addresses import without_secrets
from components.bad_input import BadInput
from components.open_run.code_version import code_version
from components.open_run.open_run import LOCAL_PROCESS, process_mark
from components.step import ERROR_MARK, LINE_MARK, WARNING_MARK
from components.tracking import names, runs
from components.tracking.store import connect
from pipeline.git import git_commit
from pipeline.parameters import Parameters

ANSI = re.compile(r"\x1b\[[0-9;]*m")
STARTED = re.compile(r"Executing task '(?P<task>[^']+)'")
EPOCH = re.compile(r"epoch (?P<done>\d+)/(?P<of>\d+):")
FINISHED = re.compile(r"Task '(?P<task>[^']+)' finished with status (?P<status>\w+)")
CACHED = re.compile(r"Task (?P<task>\S+) cache hit")
EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*")
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Home:
    """The folder in which local runs leave what they need: artifacts, kfp's cache, training state, logs."""

    folder: Path

    @property
    def artifacts(self) -> Path:
        """kfp's pipeline root."""
        return self.folder / "artifacts"

    @property
    def cache(self) -> Path:
        """Results of ingest and balance by what went into them."""
        return self.folder / "cache"

    @property
    def state(self) -> Path:
        """Training state, per parent run and candidate."""
        return self.folder / "state"

    @property
    def logs(self) -> Path:
        """One file per run."""
        return self.folder / "logs"


@dataclass(frozen=True)
class Outcome:
    """How a local run ended.

    Attributes:
        parent: the pipeline run's MLflow run; None when it ended before one was opened.
        failure: the sentence of the step that failed; empty when all went well.
        log: file with everything kfp and the steps printed.
    """

    parent: Run | None
    failure: str
    log: Path


def run_here(
    parameters: Parameters,
    *,
    tracking_uri: str,
    home: Home,
    console: Console,
    parent_run_id: str = "",
    use_cache: bool = True,
) -> Outcome:
    """Runs the whole DAG on this machine and prints one line per step.

    Args:
        parameters: what to run.
        tracking_uri: the MLflow to log to; a SQLite store is made before any task starts.
        home: where artifacts, cache, state and log go.
        console: where the lines go.
        parent_run_id: an MLflow run to adopt: one to resume, or that of an `mlflow run`.
        use_cache: whether ingest and balance may come from an earlier run.
    """
    home.logs.mkdir(parents=True, exist_ok=True)
    log = home.logs / f"{datetime.now():%Y-%m-%d-%H%M%S}-{os.getpid()}.log"
    log.touch()
    console.print(f"[dim]log   {log}[/]", soft_wrap=True)
    client = connect(tracking_uri)
    arguments = {
        **parameters.dump(),
        "tracking_uri": tracking_uri,
        "state_dir": str(home.state.absolute()),
        "code_version": code_version(),
        "git_commit": git_commit(),
        "parent_run_id": parent_run_id,
    }
    request = {
        "artifacts": str(home.artifacts.absolute()),
        "cache": str(home.cache.absolute()),
        "use_cache": use_cache,
        "arguments": arguments,
    }
    progress = Progress(console)
    with _worker(request) as worker, log.open("w") as log_file:
        mark = process_mark(psutil.Process(worker.pid))
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end: as with Ctrl-C
        try:
            _follow(worker, progress, log_file, secret=parameters.csv)
        except KeyboardInterrupt:
            _stop(worker)
            progress.failure = INTERRUPTED
        finally:
            progress.close()
    if not worker.returncode:
        return Outcome(_parent_of(client, mark), "", log)
    failure = progress.failure or f"the pipeline ended with status {worker.returncode} without a word; see {log}"
    try:
        parent = _parent_of(client, mark)
    except mlflow.MlflowException:  # out of reach: what the step said of it is the better sentence
        return Outcome(None, failure, log)
    if failure == INTERRUPTED and parent is not None:
        csv = "" if without_secrets(parameters.csv) == parameters.csv else " --csv CSV (its whole address once more)"
        failure += f"; `ferpipe run --resume {parent.info.run_id}{csv}` goes on where it was"
    if parent is not None:
        if runs.is_open(parent):
            runs.close_tree(client, parent, "KILLED", failure)
        client.set_tag(parent.info.run_id, names.FAILURE, failure[: runs.LONGEST_TAG])
    return Outcome(parent, failure, log)


@dataclass
class Progress:
    """Turns kfp's output into one line per step, and one per epoch; on a terminal, the running step has a live line.

    There, epochs are a bar in that line.
    """

    console: Console
    failure: str = ""
    _task: str = ""
    _since: float = 0.0
    _note: str = ""
    _last_exception: str = ""
    _live: Any = field(default=None)

    def read(self, line: str) -> None:
        """Takes in one line of output."""
        text = ANSI.sub("", line).strip()
        if found := STARTED.search(text):
            self._task, self._since, self._note = found["task"], time.monotonic(), ""
            self._show_live()
        elif text.startswith(LINE_MARK):
            self._note = text.removeprefix(LINE_MARK)
            if EPOCH.search(self._note) and not self.console.is_terminal:
                self._line("[dim]·[/]", self._task, _duration(time.monotonic() - self._since), self._note)
            self._show_live()
        elif text.startswith(WARNING_MARK):
            self._line("[yellow]![/]", self._task, "", text.removeprefix(WARNING_MARK))
        elif text.startswith(ERROR_MARK):
            self.failure = self.failure or text.removeprefix(ERROR_MARK)
        elif EXCEPTION.match(text):
            self._last_exception = text
        elif found := FINISHED.search(text):
            self._finish(found["task"], succeeded=found["status"] == "SUCCESS")
        elif found := CACHED.search(text):
            self._line(
                "[green]✓[/]", found["task"], "cached", "from an earlier run with the same data, parameters and code"
            )

    def _finish(self, task: str, succeeded: bool) -> None:
        self.close()
        took = _duration(time.monotonic() - self._since)
        if succeeded:
            self._line("[green]✓[/]", task, took, self._note)
        else:
            step = task.replace("-", "_")
            self.failure = self.failure or f"{step}: {self._last_exception or 'ended without a word (killed?)'}"
            self._line("[red]✗[/]", task, took, "failed")

    def _line(self, mark: str, task: str, took: str, note: str) -> None:
        step = task.replace("-", "_")
        self.console.print(f"{mark} [bold]{step:<10}[/] {took:>8}  {escape(note)}", soft_wrap=True, highlight=False)

    def _show_live(self) -> None:
        if not self.console.is_terminal:
            return
        shown: Any = f"[bold]{self._task.replace('-', '_'):<10}[/] {escape(self._note)}"
        if epoch := EPOCH.search(self._note):
            bar = ProgressBar(total=int(epoch["of"]), completed=int(epoch["done"]), width=20)
            shown = Columns([Text.from_markup(shown), bar])
        if self._live is None:
            self._live = self.console.status(shown)
            self._live.start()
        else:
            self._live.update(shown)

    def close(self) -> None:
        """Takes the live line off the terminal."""
        if self._live is not None:
            self._live.stop()
            self._live = None


@contextlib.contextmanager
def _worker(request: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """The process that runs kfp, in a session of its own so that all its children can be stopped with it."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(request, file)
        file.flush()
        command = [sys.executable, "-u", "-m", "pipeline.local_worker", file.name]
        # What kfp's task wrapper would ask pip for is here already.
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PIP_NO_INDEX": "1"}
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        ) as worker:
            try:
                yield worker
            finally:
                if worker.poll() is None:
                    _stop(worker)


def _follow(worker: subprocess.Popen[str], progress: Progress, log_file: TextIO, secret: str) -> None:
    """Reads the worker's output to its end; an address that gives access never reaches the log."""
    shown = without_secrets(secret)
    assert worker.stdout is not None
    for line in worker.stdout:
        line = line.replace(secret, shown) if shown != secret else line
        log_file.write(ANSI.sub("", line))
        log_file.flush()
        progress.read(line)
    worker.wait()


def _stop(worker: subprocess.Popen[str]) -> None:
    """Ends the worker and the step it runs: asked first, killed after five seconds."""
    for sign, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(patience)
            return


def _parent_of(client: mlflow.MlflowClient, mark: str) -> Run | None:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`{LOCAL_PROCESS}` = '{mark}'", max_results=1)
    return found[0] if found else None


def _duration(seconds: float) -> str:
    """`4.2 s` under a minute, `1 m 05 s` above."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} m {int(seconds) % 60:02d} s"


def parameters_of(tracking_uri: str, parent_run_id: str, csv: str | None = None) -> Parameters:
    """The parameters of an earlier pipeline run, to resume it.

    Args:
        tracking_uri: of the MLflow that has the run.
        parent_run_id: its parent run.
        csv: the CSV's whole address, where it holds a key or a query: the run keeps neither.

    Raises:
        BadInput: there is no such run, it is none of this pipeline's, or it read another CSV.
    """
    connect(tracking_uri)
    try:
        values = yaml.safe_load(load_text(f"runs:/{parent_run_id}/parameters.yaml"))
    except mlflow.MlflowException as error:
        raise BadInput(f"run {parent_run_id}: not a pipeline run of this MLflow ({error.message})") from None
    parameters = Parameters.parse(values)
    if csv and without_secrets(csv) != parameters.csv:
        raise BadInput(f"--csv: run {parent_run_id} read {parameters.csv} (received {without_secrets(csv)})")
    return parameters.model_copy(update={"csv": csv}) if csv else parameters
