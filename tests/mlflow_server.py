"""An MLflow tracking server as a team runs one: on PostgreSQL with its artifacts in an S3 bucket, or smaller.

with mlflow_server(folder, postgres.store, "s3://mlflow", s3.environment()) as address:
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType


@contextlib.contextmanager
def mlflow_server(
    folder: Path, store: str, artifacts: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Starts the server (10 s, with the schema), and stops it at the end.

    Clients need no keys of the bucket: the server passes artifacts on.

    Args:
        folder: for its log.
        store: postgresql+psycopg2://… of a database, or sqlite:///….
        artifacts: s3://bucket/prefix, or a folder.
        environment: the bucket's endpoint and keys.

    Yields:
        Its address.

    Raises:
        RuntimeError: it did not start; the end of its log is in the message.
    """
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", artifacts]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = folder / "mlflow-server.log"
    with log.open("w") as file:
        server = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **environment, **settings}, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 120
        while not _answers(address):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the MLflow server did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.5)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, 15)
        server.wait(30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
