"""A real PostgreSQL for tests, from Debian's packages.

with postgres_server(folder) as server:   makes a cluster in `folder` and starts it; about 1 s
    server.address                        postgresql://… of a fresh database
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

USER = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user."""


@dataclass(frozen=True)
class PostgresServer:
    """A running server with one database.

    Attributes:
        address: of the database.
        bin_folder: of PostgreSQL's programs.
        start: starts the server again after `stop`, at the same address.
        stop: ends it as a power cut does.
    """

    address: str
    bin_folder: Path
    start: Callable[[], object]
    stop: Callable[[], object]

    @property
    def store(self) -> str:
        """The address as MLflow takes it, with the driver that the lock file has: SQLAlchemy's own choice varies."""
        return self.address.replace("postgresql://", "postgresql+psycopg2://")

    def environment(self) -> dict[str, str]:
        """The address as libpq, and so every client, reads it from the environment."""
        parts = urlsplit(self.address)
        return {
            "PGHOST": str(parts.hostname),
            "PGPORT": str(parts.port),
            "PGDATABASE": parts.path.lstrip("/"),
            "PGUSER": str(parts.username),
        }

    def dump(self) -> str:
        """Everything in the database, as SQL."""
        command = [self.bin_folder / "pg_dump", self.address]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def install() -> Path:
    """The folder of PostgreSQL's programs; installed where there is none.

    Raises:
        RuntimeError: it is not here and cannot be installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError("PostgreSQL is not here, and only root on Debian or Ubuntu can install it with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment, capture_output=True)
    subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"],
        check=True,
        env=environment,
        capture_output=True,
    )
    return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1].parent


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """Starts PostgreSQL with its data in `folder` (an existing one) on a free port; stops it at the end."""
    bin_folder = install()
    data = folder / "postgres"
    data.mkdir()
    as_user = _as_user(data)
    options = {"check": True, "capture_output": True, "text": True, "cwd": "/"}
    subprocess.run([*as_user, bin_folder / "initdb", "-D", data, "-U", USER, "--auth=trust", "-E", "UTF8"], **options)
    port = _free_port()
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    control = [*as_user, bin_folder / "pg_ctl", "-D", data, "-w", "-l", data / "log"]
    # Its output goes nowhere: the server keeps the pipe of whoever starts it open.
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}

    def start() -> None:
        subprocess.run([*control, "-o", settings, "start"], **quiet)

    def stop() -> None:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)

    start()
    try:
        server = f"postgresql://{USER}@127.0.0.1:{port}"
        subprocess.run([bin_folder / "psql", f"{server}/postgres", "-c", "CREATE DATABASE mlflow"], **options)
        yield PostgresServer(f"{server}/mlflow", bin_folder, start, stop)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **{**quiet, "check": False})


def _as_user(data: Path) -> list[str]:
    """What goes before a command so that it does not run as root; the user must reach the data's folder."""
    if os.geteuid() != 0:
        return []
    shutil.chown(data, USER)
    for parent in data.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
    return ["runuser", "-u", USER, "--"]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
