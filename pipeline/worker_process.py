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


@contextlib.contextmanager
def start_worker(request: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The process that runs kfp, in a session of its own so that all its children can be stopped with it."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "pipeline.local_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environment),
        start_new_session=True,
    ) as worker:
        assert worker.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            worker.stdin.write(json.dumps(request) + "\n")
            worker.stdin.flush()  # and is held open: its end is the worker's
        yield worker


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
