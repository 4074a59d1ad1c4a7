"""A team at its MLflow server: a reader, a trainer and a promoter."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner, Result
from mlflow_server import ADMIN, IMAGES, team_server
from postgres import postgres_server
from swift import swift_server

from pipeline.cli import cli

PASSWORDS = {"rita": "a-password-of-rita", "theo": "a-password-of-theo", "petra": "a-password-of-petra"}
PASSWORDS |= {ADMIN["MLFLOW_AUTH_ADMIN_USERNAME"]: ADMIN["MLFLOW_AUTH_ADMIN_PASSWORD"]}
ROLES = {"rita": "reader", "theo": "trainer", "petra": "promoter"}


def environment_of(user: str, address: str) -> dict[str, str]:
    """This process's, as that user's: none of the server's keys, passwords by environment alone."""
    mlflow_there = {"MLFLOW_TRACKING_URI": address, "MLFLOW_REGISTRY_URI": address}
    return {
        **os.environ,
        **mlflow_there,
        "MLFLOW_TRACKING_USERNAME": user,
        "MLFLOW_TRACKING_PASSWORD": PASSWORDS[user],
    }


@dataclass(frozen=True)
class Team:
    """The server, and the users at it."""

    address: str
    folder: Path
    container: Mapping[str, str] = field(default_factory=dict)
    """The environment in the server's container."""

    def ferpipe(self, user: str, *words: str) -> Result:
        """A verb, in this process: an interpreter of its own imports MLflow for seconds."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment_of(user, self.address).items():
                patch.setenv(name, value)
            return CliRunner().invoke(cli, words)

    def command(self, user: str, *words: str, through: str = "") -> subprocess.CompletedProcess[str]:
        """The command as a user types it; `through` another address, of a proxy before the server."""
        environment = {
            **environment_of(user, through or self.address),
            "FERPIPE_HOME": str(self.folder / f"home-of-{user}"),
        }
        command = [sys.executable, "-m", "pipeline.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def administer(self, script: str, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """A script of images/server, as an administrator runs it in the server's container."""
        command = [sys.executable, str(IMAGES / "server" / script), *words]
        environment = {**os.environ, **ADMIN, **self.container}
        return subprocess.run(command, input=typed, capture_output=True, text=True, check=False, env=environment)

    def add_user(self, name: str, role: str) -> str:
        """The sentence that add_user.py prints."""
        done = self.administer("add_user.py", name, role, "--server", self.address, typed=f"{PASSWORDS[name]}\n")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextlib.contextmanager
def new_server(folder: Path, settings: Mapping[str, str] = {}) -> Iterator[Team]:
    """The server before any account was made, on PostgreSQL and S3 servers of its own.

    Args:
        folder: an existing one, for their data.
        settings: what the server reads, beside images/compose.yaml.
    """
    storage = folder / "s3"
    storage.mkdir()
    with swift_server(storage) as s3, postgres_server(folder) as postgres:
        keys = {"aws_access_key_id": s3.key, "aws_secret_access_key": s3.secret, "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=s3.endpoint, **keys).create_bucket(Bucket="mlflow")
        destination = "s3://mlflow/team"
        container = {**postgres.environment(), **s3.environment(), "MLFLOW_ARTIFACTS_DESTINATION": destination}
        with team_server(folder, postgres, destination, {**s3.environment(), **settings}) as address:
            yield Team(address, folder, container)


@contextlib.contextmanager
def team_of_three(folder: Path, settings: Mapping[str, str] = {}) -> Iterator[Team]:
    """The server with a reader, a trainer and a promoter; arguments as of `new_server`."""
    with new_server(folder, settings) as team:
        for name, role in ROLES.items():
            assert team.add_user(name, role) == f"{name} is {role} now"
        yield team
