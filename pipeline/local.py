"""Run the pipeline here, now: kfp's local runner, MLflow wherever it is, no Docker and no cluster.

What kfp prints goes to a log file; a person sees one calm line per step.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TextIO

import mlflow
from mlflow.entities import Run
from rich.console import Console
from rich.markup import escape

from ferkit.addresses import WHOLE_ADDRESS, without_secrets
from ferkit.code_version import git_commit
from ferkit.step import LAST_WORDS
from ferkit.tracking import tree
from ferkit.tracking.failure import say_failed
from ferkit.tracking.labels import Labels
from ferkit.tracking.owner import Heart, Owner, local_owner
from ferkit.tracking.patience import OF_THE_LAST_WORD, patience
from ferkit.tracking.store import check_answers, connect
from ferkit.user_input import shown
from pipeline.forked_steps import can_fork
from pipeline.local_cache import forget_damaged
from pipeline.parameters import Parameters
from pipeline.progress import ANSI, Progress
from pipeline.worker_process import ending_as_with_ctrl_c, kill, start_worker, stop, tell

INTERRUPTED = "interrupted"
TAKEN_OVER = "another command took the run over; this one stopped"


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

    @property
    def running(self) -> Path:
        """One folder per run that is under way: its lock and its temporary files."""
        return self.folder / "running"


@dataclass(frozen=True)
class LocalRun:
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
    labels: Labels | None = None,
) -> LocalRun:
    """Runs the whole DAG on this machine and prints one line per step.

    Args:
        parameters: what to run.
        tracking_uri: the MLflow to log to; a SQLite store is made before any task starts.
        home: where artifacts, cache, state and log go.
        console: where the lines go.
        parent_run_id: an MLflow run to adopt: one to resume, or that of an `mlflow run`.
        use_cache: whether ingest and balance may come from an earlier run.
        labels: what the person who starts it says of it.
    """
    environment, is_forking = _environment(parameters.csv), can_fork(parameters.dump())
    # The worker before all else: while the store is made or asked, it imports what the steps need.
    with ending_as_with_ctrl_c(), start_worker(environment, is_forking=is_forking) as worker:
        client = connect(tracking_uri)
        check_answers(client, tracking_uri)
        home.logs.mkdir(parents=True, exist_ok=True)
        log = home.logs / f"{datetime.now():%Y-%m-%d-%H%M%S}-{os.getpid()}.log"
        log.touch()
        console.print(f"[dim]log   {escape(str(log))}[/]", soft_wrap=True)
        progress = Progress(console)
        for damage in forget_damaged(home.cache) if use_cache else ():
            told = f"[yellow]![/] {escape(shown(damage))}; it is made again"
            console.print(told, soft_wrap=True, highlight=False)
        with local_owner(home.running) as owner:
            arguments = {
                **parameters.dump(),
                "csv": without_secrets(parameters.csv),
                "tracking_uri": tracking_uri,
                "state_dir": str(home.state.absolute()),
                "git_commit": git_commit(),
                "parent_run_id": parent_run_id,
                "labels": (labels or Labels()).dump(),
                "owner": owner.to_json(),
            }
            request = {
                "artifacts": str(home.artifacts.absolute()),
                "cache_root": str(home.cache.absolute()),
                "use_cache": use_cache,
                "environment": {"TMPDIR": str(owner.scratch), LAST_WORDS: str(owner.scratch / "last-words")},
                "arguments": arguments,
            }
            with open_log(log) as log_file:
                try:
                    tell(worker, request)
                    _follow(worker, progress, log_file, client, owner)
                except KeyboardInterrupt:
                    progress.failure = INTERRUPTED
                finally:
                    progress.close()
                    stop(worker)
            # A run that failed may have done so for want of MLflow: nobody waits for that a second time.
            with patience(OF_THE_LAST_WORD if worker.returncode else {}):
                return _outcome(client, parameters, progress, worker.returncode, owner, log)


@contextlib.contextmanager
def open_log(path: Path) -> Iterator[TextIO]:
    """The file for what the steps print. On a full disk it ends early: a step's sentence says so, and is not lost."""
    file = path.open("w")
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # what is left in the buffer
            file.close()


def _outcome(
    client: mlflow.MlflowClient, parameters: Parameters, progress: Progress, status: int, owner: Owner, log: Path
) -> LocalRun:
    """What became of the run; one that no step could end is ended here."""
    failure = progress.failure
    if status and not failure:
        failure = f"the pipeline ended with status {status} without a word; see {log}"
    try:
        if progress.parent_run_id:
            parent = client.get_run(progress.parent_run_id)
        else:
            parent = tree.find_parent(client, owner, parameters.experiment, "")
    except mlflow.MlflowException:  # out of reach: what the step said of it is the better sentence
        if failure:
            more = how_to_go_on(progress.parent_run_id, parameters) if progress.parent_run_id else ""
            return LocalRun(None, failure + more, log)
        raise
    if not status or parent is None or failure == TAKEN_OVER:
        return LocalRun(parent, failure if status else "", log)
    if failure == INTERRUPTED or progress.is_out_of_reach:
        failure += how_to_go_on(parent.info.run_id, parameters)
    with contextlib.suppress(mlflow.MlflowException):
        if tree.is_open(parent):
            tree.close_tree(client, parent, "KILLED" if progress.failure == INTERRUPTED else "FAILED", failure)
        else:
            say_failed(client, parent.info.run_id, failure)
    return LocalRun(parent, failure, log)


def how_to_go_on(run_id: str, parameters: Parameters) -> str:
    """The end of a sentence about a run that was broken off."""
    csv = "" if without_secrets(parameters.csv) == parameters.csv else " --csv CSV (its whole address once more)"
    return f"; `ferpipe run --resume {run_id}{csv}` goes on where it was"


def _environment(csv: str) -> dict[str, str]:
    """Of the worker and its steps, each of which takes out what names another's run when it connects to MLflow.

    Secrets in the address of the CSV go here: every user of the machine can read a command line.
    """
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),  # as in ferkit/training/hardware.py
        "PIP_NO_INDEX": "1",  # what kfp's task wrapper would ask pip for is here already
    }
    if without_secrets(csv) != csv:
        environment[WHOLE_ADDRESS] = csv
    return environment


def _follow(
    worker: subprocess.Popen[str], progress: Progress, log_file: TextIO, client: mlflow.MlflowClient, owner: Owner
) -> None:
    """Reads the worker's output to its end, and beats for the run from the moment on that there is one."""
    heart: Heart | None = None

    def on_lost() -> None:
        progress.failure = TAKEN_OVER
        kill(worker, signal.SIGKILL)

    assert worker.stdout is not None
    try:
        for line in worker.stdout:
            with contextlib.suppress(OSError):  # a full disk ends a step, with a sentence, and not what listens to it
                log_file.write(ANSI.sub("", line))
                log_file.flush()
            progress.read(line)
            if heart is None and progress.parent_run_id:
                heart = Heart(client, progress.parent_run_id, owner, on_lost)
        worker.wait()
    finally:
        if heart is not None:
            heart.close()
