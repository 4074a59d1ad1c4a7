"""A real S3 server for the tests of a module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from swift import S3Server, swift_server

sys.path.append(str(Path(__file__).resolve().parent.parent / "ferkit" / "registry"))  # promotable


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with swift_server(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server, which holds the bucket `faces`; boto3 and MLflow find the server in the environment."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("s3")
    if "faces" not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket="faces")
    return client
