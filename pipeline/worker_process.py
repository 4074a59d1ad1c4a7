"""The worker process of a local run: started in a session of its own, and ended with every process under it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

FORKING = "--forking"
"""The worker's option for steps that are forks."""


@contextlib.contextmanager
def start_worker(environment: Mapping[str, str], *, is_forking: bool) -> Iterator[subprocess.Popen[str]]:
    """The process that runs kfp, once it is told what (`tell`); after the block, it and its steps are ended.

    In a session of its own, so that all its children can be stopped with it.

    Args:
        environment: of the worker and its steps.
        is_forking: whether the steps are forks of one process (see pipeline/forked_steps.py).
    """
    command = [sys.executable, "-u", "-m", "pipeline.local_worker", *([FORKING] if is_forking else [])]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environment),
        start_new_session=True,
    ) as worker:
        threading.Thread(target=_end_what_is_left, args=[worker], name="worker", daemon=True).start()
        try:
            yield worker
        finally:
            stop(worker)
            assert worker.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # what it was told and has not read
                worker.stdin.close()


def _end_what_is_left(worker: subprocess.Popen[str]) -> None:
    """When the worker has ended, its steps and what they are forks of end, too: they hold its output open."""
    worker.wait()
    kill(worker, signal.SIGKILL)


def tell(worker: subprocess.Popen[str], request: Mapping[str, Any]) -> None:
    """Tells a worker what to run. Its standard input stays open: that its end comes is how a worker learns of ours."""
    assert worker.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(json.dumps(request) + "\n")
        worker.stdin.flush()


@contextlib.contextmanager
def ending_as_with_ctrl_c() -> Iterator[None]:
    """Within it, a request to end (SIGTERM), or the terminal's going away (SIGHUP), is what Ctrl-C is.

    What was ignored before stays so: `nohup ferpipe run` outlives its terminal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [sign for sign in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(sign) is not signal.SIG_IGN]
    before = [signal.signal(sign, signal.default_int_handler) for sign in signals]
    try:
        yield
    finally:
        for sign, handler in zip(signals, before, strict=True):
            signal.signal(sign, handler)


def stop(worker: subprocess.Popen[str]) -> None:
    """Ends the worker and every step that it left: asked first, killed after five seconds."""
    if worker.poll() is None:
        kill(worker, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.wait(5.0)
    kill(worker, signal.SIGKILL)
    worker.wait()


def kill(worker: subprocess.Popen[str], sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, sign)
