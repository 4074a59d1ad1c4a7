"""Ingest from a real S3 server: OpenStack Swift with its S3 API."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from swift import S3Server

from components.ingest.ingest import ingest_csv
from ferkit.data import read_profile
from ferkit.data.source import find_source, open_csv
from ferkit.errors import UserError

pytestmark = pytest.mark.services


def test_the_sample_from_s3_is_the_sample(s3: Any, sample_csv: Path, sample_faces: Path, tmp_path: Path):
    s3.upload_file(str(sample_csv), "faces", "data/sample.csv")
    address = "s3://faces/data/sample.csv"
    version = find_source(address).version()
    assert version.startswith("s3:etag=")
    assert version.endswith(f":{sample_csv.stat().st_size}")
    profile = ingest_csv(address, tmp_path / "faces", source_version=version)
    assert profile.digest == read_profile(sample_faces).digest
    assert profile.source["csv"] == address

    s3.put_object(Bucket="faces", Key="data/sample.csv", Body=b"emotion,pixels,Usage\n")
    with pytest.raises(UserError, match="has changed since it was located"):
        ingest_csv(address, tmp_path / "again", source_version=version)


def test_the_located_version_is_read_though_a_newer_one_is_there(s3: Any):
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="versions", Key="a.csv", Body=b"pixels\n1\n")
    located = find_source("s3://versions/a.csv").version()
    s3.put_object(Bucket="versions", Key="a.csv", Body=b"pixels\n2\n")
    assert located.startswith("s3:version=")
    with open_csv("s3://versions/a.csv", located) as opened:
        assert opened.stream.read() == b"pixels\n1\n"


class CuttingProxy(threading.Thread):
    """Passes connections on to an endpoint, and hangs up the first `cuts` of them after `after` bytes of answer."""

    def __init__(self, endpoint: str, after: int, cuts: int) -> None:
        super().__init__(daemon=True)
        self._target = (urlsplit(endpoint).hostname, urlsplit(endpoint).port)
        self._after, self.cuts, self.made = after, cuts, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.start()

    def run(self) -> None:
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(self._target)
            threading.Thread(target=self._pass_on, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(far, near, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answer: bool) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                passed += len(data)
                if answer and passed > self._after and self.made < self.cuts:
                    self.made += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the other direction; its thread closes nothing twice
            one.close()


def test_a_300_mb_object_over_a_connection_that_is_cut(
    s3: Any, server: S3Server, sample_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    header, *lines = sample_csv.read_bytes().splitlines(keepends=True)
    path = tmp_path / "large.csv"
    body = b"".join(lines)
    with path.open("wb") as file:
        file.write(header)
        while file.tell() < 300_000_000:
            file.write(body)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    s3.upload_file(str(path), "faces", "large.csv")
    path.unlink()

    proxy = CuttingProxy(server.endpoint, after=40_000_000, cuts=3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    profile = ingest_csv("s3://faces/large.csv", tmp_path / "faces")
    assert proxy.made == 3
    assert profile.source["sha256"] == sha256
    kept = sum(one["rows"] for one in profile.splits.values())
    assert kept + sum(profile.rejected.values()) + sum(profile.duplicates["dropped"].values()) == profile.source["rows"]


def test_a_connection_that_is_always_cut_fails_clean(s3: Any, server: S3Server, tmp_path: Path, monkeypatch: Any):
    s3.put_object(Bucket="faces", Key="cut.csv", Body=b"emotion,pixels,Usage\n" + b"0,1 2 3 4,Training\n" * 50_000)
    proxy = CuttingProxy(server.endpoint, after=600, cuts=10**9)
    source = find_source("s3://faces/cut.csv")
    version = source.version()
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr("ferkit.data.source.remote.FIRST_PAUSE", 0.01)
    with pytest.raises(UserError, match=r"^s3://faces/cut\.csv: (the connection broke|S3 cannot be reached)"):
        ingest_csv("s3://faces/cut.csv", tmp_path / "out" / "faces", source_version=version)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "value", "address", "sentence"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "s3://faces/a.csv", "S3 refuses these credentials"),
        ("AWS_ACCESS_KEY_ID", "nobody", "s3://faces/a.csv", "S3 refuses these credentials"),
        ("AWS_PROFILE", "nobody", "s3://faces/a.csv", "AWS_PROFILE names 'nobody', a profile that is not"),
        ("AWS_DEFAULT_REGION", "us-east-1", "s3://faces/missing.csv", "there is no such object"),
        ("AWS_DEFAULT_REGION", "us-east-1", "s3://nowhere/a.csv", "there is no such"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "s3://faces/a.csv", "S3 cannot be reached"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    s3: Any, setting: str, value: str, address: str, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    s3.put_object(Bucket="faces", Key="a.csv", Body=b"pixels\n1\n")
    monkeypatch.setenv(setting, value)
    for attempt in (lambda: find_source(address).version(), lambda: open_csv(address).__enter__()):
        with pytest.raises(UserError, match=sentence) as refused:
            attempt()
        assert str(refused.value).startswith(f"{address}: ")
        assert "\n" not in str(refused.value)
