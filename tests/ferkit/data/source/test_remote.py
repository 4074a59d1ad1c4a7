"""CSVs on a web server, also one whose connections break, that knows no ranges, or whose file changes."""

from __future__ import annotations

import gzip
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ferkit.data.source import find_source, open_csv, remote
from ferkit.data.source.http import TIMEOUT
from ferkit.errors import UserError

CSV = b"emotion,pixels,Usage\n" + b"".join(b"0,%d 2 3 4,Training\n" % (n % 256) for n in range(200_000))


class Server(ThreadingHTTPServer):
    """Serves `files`; sends at most `cut` bytes of a response before it hangs up; with or without ranges and ETags.

    `cuts` are for the next responses, one each; `broken` counts those that were cut. A whole file may come `chunked`:
    then nothing says how many bytes it has.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.etag = '"one"'
        self.ranges, self.cut, self.chunked = True, 1 << 40, False
        self.cuts: list[int] = []
        self.broken = 0
        self.requests: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        data = self.server.files.get(path)
        wanted = self.headers.get("Range", "")
        self.server.requests.append(wanted)
        if data is None:
            self.send_error(int(path[1:]) if path[1:].isdigit() else 404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        chunked = self.server.chunked and not start
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(data) - start))
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else self.server.cut
        self.server.broken += cut < len(data) - start
        self.wfile.write((b"%x\r\n" % len(data) if chunked else b"") + data[start : start + cut])
        if chunked and cut >= len(data):
            self.wfile.write(b"\r\n0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.001)
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def read(address: str, version: str = "") -> bytes:
    with open_csv(address, version) as opened:
        return opened.stream.read()


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("kind", ["csv", "gz", "zip"])
def test_a_connection_that_breaks_again_and_again_is_taken_up(server: Server, kind: str, ranges: bool, tmp_path: Path):
    packed = CSV if kind == "csv" else gzip.compress(CSV)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("fer2013.csv", CSV)
        packed = (tmp_path / "a.zip").read_bytes()
    server.files["/faces"] = packed
    server.ranges = ranges
    if ranges:
        server.cut = len(packed) // 3 + 1
    else:  # each response starts at the beginning: one that is cut no later than the one before gains nothing
        server.cuts = [len(packed) // 3, len(packed) // 4, len(packed) // 3 * 2, len(packed) - 1]
    assert read(f"{server.address}/faces") == CSV
    assert server.broken >= (2 if ranges else 4)


def test_without_ranges_a_connection_that_always_breaks_at_the_same_byte_is_one_sentence(server: Server):
    server.files["/faces.csv"] = CSV
    server.ranges, server.cut = False, len(CSV) // 2
    with pytest.raises(UserError, match=rf"the connection broke at byte {server.cut:,} of {len(CSV):,} and could not"):
        read(f"{server.address}/faces.csv")
    assert server.requests == ["", *[f"bytes={server.cut}-"] * remote.TRIES]


@pytest.mark.parametrize("cut", [len(CSV), len(CSV) // 3 + 1])
def test_a_file_that_comes_in_chunks_is_read_whole(server: Server, cut: int):
    server.files["/faces.csv"] = CSV
    server.chunked, server.cut = True, cut
    assert read(f"{server.address}/faces.csv") == CSV


def test_a_connection_that_stays_broken_is_one_sentence(server: Server):
    server.files["/faces.csv"] = CSV
    server.cut = 0
    with pytest.raises(UserError, match=r"the connection broke at byte 0 of [\d,]+ and could not be taken up again"):
        read(f"{server.address}/faces.csv")


def test_a_server_that_falls_silent_is_asked_again_and_given_up_within_30_s(monkeypatch: pytest.MonkeyPatch):
    """On a clock that goes by what is waited for: the timeout of a read, and the pauses."""
    clock, opened = [0.0], list[int]()

    class Silent:
        def read(self, size: int) -> bytes:
            clock[0] += TIMEOUT[1]
            raise TimeoutError("timed out")

        def close(self) -> None:
            pass

    def open_at(byte: int) -> Silent:
        opened.append(byte)
        return Silent()

    def wait(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(remote.time, "sleep", wait)
    monkeypatch.setattr(remote.time, "monotonic", lambda: clock[0])
    file = remote.RemoteFile("http://server/faces.csv", 1000, open_at, ())
    file.seek(100)
    with pytest.raises(UserError, match=r"the connection broke at byte 100 of 1,000 .*\(timed out\); try again"):
        file.read(10)
    assert opened == [100, 100]
    assert clock[0] <= 30


def test_a_file_that_changes_is_refused_before_and_while_it_is_read(server: Server):
    server.files["/faces.csv"] = CSV
    address = f"{server.address}/faces.csv"
    version = find_source(address).version()
    assert read(address, version) == CSV
    server.cut = 100_000
    with open_csv(address, version) as opened:
        opened.stream.read(1000)
        server.etag = '"two"'
        with pytest.raises(UserError, match="has changed while it was read"):
            opened.stream.read()
    with pytest.raises(UserError, match="has changed since it was located"):
        read(address, version)


def test_a_server_that_tells_no_version_is_read_for_it(server: Server):
    server.files["/faces.csv"] = CSV
    server.etag = ""
    before = find_source(f"{server.address}/faces.csv").version()
    server.files["/faces.csv"] = CSV[:-1]
    assert before.startswith("sha256:")
    assert find_source(f"{server.address}/faces.csv").version() != before


@pytest.mark.parametrize(("path", "sentence"), [("none", "no such file"), ("403", "refuses"), ("500", "answers 500")])
def test_a_server_that_says_no_is_one_sentence_without_secrets(server: Server, path: str, sentence: str):
    address = server.address.replace("//", "//me:secret@")
    with pytest.raises(UserError, match=sentence) as refused:
        read(f"{address}/{path}?X-Amz-Signature=secret")
    assert "secret" not in str(refused.value)


def test_no_server_is_one_sentence():
    with pytest.raises(UserError, match="cannot be reached"):
        read("http://127.0.0.1:9/faces.csv")
