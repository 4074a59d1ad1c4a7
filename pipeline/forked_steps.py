"""The steps of a local run as forks of one process that has imported what they need.

kfp's local runner starts Python anew for every task. What a step imports takes longer than most of what it does: Keras
with TensorFlow alone some four CPU seconds. Here one process, the fork server, imports it once, and does nothing with
it, so that no thread of TensorFlow's runs yet; a step is a fork of that, and ends as if it had been started alone.

multiprocessing has a fork server, too: its socket is a file, whose path may not be longer than 107 characters, and is
left behind where the server is killed.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

IMPORTED = (
    "ferkit.data",  # first: it says which allocator Arrow takes, and that is settled when pandas is imported
    "kfp.dsl.executor_main",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "tensorflow",
    "keras",
    "sklearn.metrics",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "optuna",
)
"""What a step finds imported, in this order."""

ENVIRONMENT = {"KERAS_BACKEND": "tensorflow"}
"""What Keras is imported with, whatever a person has set."""

GPU_DRIVERS = tuple(map(Path, ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")))
"""One of them is there where a driver for NVIDIA's, AMD's or (under WSL) any GPU is."""


def can_fork(arguments: Mapping[str, Any]) -> bool:
    """Whether the steps of a run with these arguments may be forked.

    Not where a candidate may train with JAX, for Keras is imported with TensorFlow; nor where there is a GPU, on which
    it has not been tried; nor on other systems than Linux, where forks and threads do not go together.
    """
    is_with_jax = '"jax"' in json.dumps(arguments)
    return sys.platform == "linux" and not is_with_jax and not any(driver.exists() for driver in GPU_DRIVERS)


@dataclass(frozen=True)
class Task:
    """What a step's fork is told.

    Attributes:
        source: of the module with the component's function.
        arguments: of kfp's executor.
        environment: all variables, in place of those that the fork server was started with.
    """

    source: str
    arguments: list[str]
    environment: dict[str, str]

    @property
    def step(self) -> str:
        """The component's function."""
        return self.arguments[self.arguments.index("--function_to_execute") + 1]


class ForkServer:
    """The other process, which begins to import at once, and is started anew should somebody kill it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # tasks of a loop run in threads
        self._start()

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        code = f"from pipeline.forked_steps import serve; serve({theirs.fileno()}, {IMPORTED})"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", code],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ENVIRONMENT},
                pass_fds=[theirs.fileno()],
            )

    def run(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """In place of kfp's `run_local_subprocess`: runs a task's command, prints its output, returns its exit status.

        Args:
            full_command: `sh -ec SCRIPT SOURCE --executor_input ... --function_to_execute NAME`; the script stores the
                source of a component's module, and starts kfp's executor on it.
            env_vars: environment variables besides this process's own.
        """
        source, *arguments = full_command[3:]
        task = Task(source, arguments, {**os.environ, **(env_vars or {}), **ENVIRONMENT})
        output, output_end = os.pipe()
        status, status_end = os.pipe()
        try:
            with self._lock:
                try:
                    self._send(task, output_end, status_end)
                except OSError:
                    self._stop()
                    self._start()
                    self._send(task, output_end, status_end)
        finally:
            os.close(output_end)
            os.close(status_end)
        with os.fdopen(output, errors="replace") as lines:
            for line in lines:
                print(line, end="")
        with os.fdopen(status) as told:
            return int(told.read() or 1)  # nothing: who waited for it was killed

    def _send(self, task: Task, output: int, status: int) -> None:
        self._connection.send(task)
        for descriptor in (output, status):
            send_handle(self._connection, descriptor, self._process.pid)

    def _stop(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()


def serve(descriptor: int, modules: tuple[str, ...]) -> NoReturn:
    """The fork server: imports, then starts steps until the other end of the connection is closed.

    Args:
        descriptor: of the socket.
        modules: to import.
    """
    connection = Connection(descriptor)
    for module in modules:
        with suppress(Exception):  # the step that needs it says so
            importlib.import_module(module)
    # It gives itself a handler where it finds none, as here, and then says everything twice in a step.
    logging.getLogger("tensorflow").handlers.clear()
    gc.freeze()  # a million objects, through which every collection of every step would go
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks after those who wait for the steps
    while True:
        try:
            task = connection.recv()
        except EOFError:
            os._exit(0)
        output, status = recv_handle(connection), recv_handle(connection)
        try:
            is_fork = os.fork() == 0
        except OSError as error:  # no memory: that step fails, and the next one may find some
            os.write(output, f"{error}\n".encode())
            is_fork = False
        if is_fork:
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _start_and_wait(task, output, status)
        os.close(output)
        os.close(status)


def _start_and_wait(task: Task, output: int, status: int) -> NoReturn:
    """Forks once more, and tells the step's exit status when it has ended."""
    step = os.fork()
    if step == 0:
        os.close(status)
        for stream in (1, 2):
            os.dup2(output, stream)
        os.close(output)
        _run(task)
    os.close(output)
    _, ended = os.waitpid(step, 0)
    os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def _run(task: Task) -> NoReturn:
    """What the shell script of kfp's command would do, and the Python that it starts, to the end of that."""
    with suppress(OSError):  # not every container's kernel has it
        Path("/proc/self/comm").write_text(task.step)  # what `top` and `ps` call it
    os.environ.clear()
    os.environ.update(task.environment)
    tempfile.tempdir = None  # it may have been looked up already
    np.random.seed()  # of the state that all forks were given
    status = 1
    try:
        status = _execute(task)
    finally:
        # What Python does at its end, but for taking all that was imported apart, which takes two seconds.
        threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed
                stream.flush()
        os._exit(status)


def _execute(task: Task) -> int:
    """Runs the component in kfp's executor; returns the exit status that Python would end with."""
    from kfp.dsl import executor_main

    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "ephemeral_component.py"
        module.write_text(task.source)
        sys.argv = [executor_main.__file__, "--component_module_path", str(module), *task.arguments]
        try:
            executor_main.executor_main()
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return end.code or 0
            print(end.code, file=sys.stderr)
            return 1
        except BaseException:
            traceback.print_exc()
            return 1
        return 0
