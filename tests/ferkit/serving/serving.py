"""A model behind `mlflow models serve`, as its users start it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

UP_WITHIN = 150.0
"""Seconds; 8 on an idle machine."""


@dataclass(frozen=True)
class Served:
    """Where the champion answers, and the process that was started for it (its children answer)."""

    address: str
    process_id: int


@contextlib.contextmanager
def serving(model: LoggedModel, log: Path) -> Iterator[Served]:
    """The champion, served; the whole process group ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/facial-expression@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": model.tracking_uri,
        "MLFLOW_REGISTRY_URI": model.tracking_uri,  # `connect` of another test left its own there
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # mlflow calls `uvicorn` by name
    }
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
    try:
        end = time.monotonic() + UP_WITHIN
        while not _answers(f"http://127.0.0.1:{port}/ping"):
            assert server.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.2)
        yield Served(f"http://127.0.0.1:{port}/invocations", server.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False
