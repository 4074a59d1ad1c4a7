"""An MLflow tracking server as a team runs one: on PostgreSQL with its artifacts in an S3 bucket, or smaller.

with mlflow_server(folder, postgres.store, "s3://mlflow", s3.environment()) as address:

with team_server(folder, postgres, "s3://mlflow", s3.environment()) as address:    as images/compose.yaml starts it
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from postgres import PostgresServer

IMAGES = Path(__file__).parents[1] / "images"
ADMIN = {"MLFLOW_AUTH_ADMIN_USERNAME": "admin", "MLFLOW_AUTH_ADMIN_PASSWORD": "administrator-4711"}


@contextlib.contextmanager
def mlflow_server(
    folder: Path,
    store: str,
    artifacts: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    options: Sequence[str] = (),
) -> Iterator[str]:
    """Starts the server (10 s, with the schema), and stops it at the end.

    Clients need no keys of the bucket: the server passes artifacts on.

    Args:
        folder: for its log.
        store: postgresql+psycopg2://… of a database, or sqlite:///….
        artifacts: s3://bucket/prefix, or a folder.
        environment: the bucket's endpoint and keys, and what else the server reads.
        options: of `mlflow server`, beside those for address, store and artifacts.

    Yields:
        Its address.

    Raises:
        RuntimeError: it did not start; the end of its log is in the message.
    """
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", artifacts, *options]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with running(command, port, folder / "mlflow-server.log", {**settings, **environment}) as address:
        yield address


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Starts a command that serves MLflow at a port of this machine; yields its address, and stops it at the end.

    Raises:
        RuntimeError: it did not start; the end of its log is in the message.
    """
    with log.open("w") as file:
        server = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **environment}, start_new_session=True
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


@contextlib.contextmanager
def team_server(
    folder: Path, postgres: PostgresServer, artifacts: str, environment: Mapping[str, str]
) -> Iterator[str]:
    """The server with the settings of images/compose.yaml: users, allowed hosts, no jobs, the database by PG variables.

    What compose.yaml takes from the environment (`${…}`) is given here; addresses are those of this machine.
    """
    service = yaml.safe_load((IMAGES / "compose.yaml").read_text())["services"]["mlflow"]
    fixed = {name: str(value) for name, value in service["environment"].items() if "$" not in str(value)}
    given = {
        "MLFLOW_AUTH_CONFIG_PATH": str(IMAGES / "server" / "basic_auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "flask-4711",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*",
        **ADMIN,
        **postgres.environment(),
    }
    options = [option for option in service["command"] if option.startswith("--app-name")]
    store = next(option for option in service["command"] if option.startswith("--backend-store-uri"))
    with mlflow_server(
        folder, store.partition("=")[2], artifacts, {**fixed, **given, **environment}, options
    ) as address:
        yield address


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
