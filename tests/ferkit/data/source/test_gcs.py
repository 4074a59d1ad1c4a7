"""CSVs in Google Cloud Storage: Google's own client, against a stand-in of the server.

The stand-in answers what Google's reference of the JSON API says of `objects.get`: metadata; with `alt=media` the
bytes, in ranges; 404 for a generation that is gone, 412 where `ifGenerationMatch` does not hold. No real one can be
asked here, and the emulator that was tried (gcp-storage-emulator 2026.7) answers any generation with the newest bytes.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from ferkit.addresses import without_secrets
from ferkit.data.source import find_source, gcs, open_csv
from ferkit.errors import UserError

CSV = b"emotion,pixels,Usage\n" + b"".join(b"0,%d 2 3 4,Training\n" % (n % 256) for n in range(50_000))
ADDRESS = "gs://faces/sets/set #2?.csv"


class Gcs(ThreadingHTTPServer):
    """A bucket `faces` of one object; hangs up in the midst of the next `cuts` answers.

    Says `status` to everything, where it is not 0, and nothing at all until it `speaks`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.key, self.data, self.generation = "sets/set #2?.csv", CSV, 1
        self.cuts, self.status = 0, 0
        self.speaks = threading.Event()
        self.speaks.set()
        self.ranges: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Gcs  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        gcs, asked = self.server, urlsplit(self.path)
        gcs.speaks.wait()
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        if gcs.status:
            self.send_error(gcs.status)
        elif unquote(asked.path).rpartition("/b/")[2] != f"faces/o/{gcs.key}" or query.get(
            "generation", str(gcs.generation)
        ) != str(gcs.generation):
            self.send_error(404)
        elif query.get("ifGenerationMatch", str(gcs.generation)) != str(gcs.generation):
            self.send_error(412)
        elif query.get("alt") == "media":
            self._send_bytes()
        else:
            told = {"name": gcs.key, "bucket": "faces", "generation": str(gcs.generation), "size": str(len(gcs.data))}
            self._send(200, json.dumps(told).encode())

    def _send_bytes(self) -> None:
        data, wanted = self.server.data, self.headers.get("Range", "bytes=0-").removeprefix("bytes=")
        self.server.ranges.append(wanted)
        first, _, last = wanted.partition("-")
        part = data[int(first) : int(last or len(data)) + 1]
        self._send(206, part, f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")

    def _send(self, status: int, body: bytes, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        is_cut = self.server.cuts > 0 and status == 206
        self.server.cuts -= is_cut
        self.wfile.write(body[: len(body) // 2] if is_cut else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gcs]:
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_delay(initial=0.001, maximum=0.001))
    monkeypatch.setattr(gcs, "BUFFER", 64 * 1024)
    with Gcs() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
        yield server
        server.speaks.set()
        server.shutdown()


def read(address: str, version: str = "") -> bytes:
    with open_csv(address, version) as opened:
        return opened.stream.read()


def test_an_object_is_read_with_its_generation_as_version(server: Gcs):
    source = find_source(ADDRESS)
    version = source.version()
    assert version == f"gs:generation=1:{len(CSV)}"
    assert source.pins
    assert read(ADDRESS, version) == CSV
    assert without_secrets(ADDRESS) == source.address == ADDRESS, "what would be a query elsewhere is part of a key"


def test_a_packed_one_is_unpacked(server: Gcs):
    server.data = gzip.compress(CSV)
    assert read(ADDRESS) == CSV


def test_a_connection_that_breaks_is_taken_up_at_the_byte_where_it_broke(server: Gcs):
    server.cuts = 3
    assert read(ADDRESS) == CSV
    assert server.cuts == 0
    starts = [int(wanted.partition("-")[0]) for wanted in server.ranges[:3]]
    half = (gcs.BUFFER + 1) // 2
    assert starts == [0, half, half + half // 2], "not taken up where it broke"


def test_an_object_that_is_written_anew_is_refused_before_and_while_it_is_read(server: Gcs):
    version = find_source(ADDRESS).version()
    with open_csv(ADDRESS, version) as opened:
        assert opened.stream.read(1000) == CSV[:1000]
        server.generation, server.data = 2, CSV.upper()
        with pytest.raises(UserError, match="has changed while it was read"):
            opened.stream.read()
    with pytest.raises(UserError, match=r"has changed since it was located \(gs:generation=1.*now gs:generation=2"):
        read(ADDRESS, version)


@pytest.mark.parametrize(
    ("status", "sentence"), [(404, "no such object"), (403, "refuses these credentials"), (401, "no credentials")]
)
def test_what_google_says_is_one_sentence(server: Gcs, status: int, sentence: str):
    server.status = status
    with pytest.raises(UserError, match=sentence) as refused:
        find_source(ADDRESS).version()
    assert str(refused.value).startswith(f"{ADDRESS}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("trouble", ["is not there", "is broken", "is silent"])
def test_a_server_in_trouble_is_one_sentence(server: Gcs, trouble: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gcs, "RETRY", gcs.RETRY.with_timeout(0.05))
    monkeypatch.setattr(gcs, "TIMEOUT", 0.1)
    if trouble == "is not there":
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    elif trouble == "is broken":
        server.status = 503
    else:
        server.speaks.clear()
    with pytest.raises(UserError, match="Google Cloud Storage cannot be reached") as refused:
        find_source(ADDRESS).version()
    assert "\n" not in str(refused.value)


def test_without_credentials_it_says_which(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(UserError, match="no credentials for Google Cloud Storage; set GOOGLE_APPLICATION_CREDENTIALS"):
        find_source(ADDRESS).version()


@pytest.mark.parametrize("address", ["gs://faces", "gs://faces/", "gs:///a.csv", "gs://faces/folder/"])
def test_an_address_without_an_object(address: str):
    with pytest.raises(UserError, match="names no object; use gs://bucket/key"):
        find_source(address)
