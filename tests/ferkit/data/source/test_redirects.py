"""Where a CSV's web server may send us on to: asked of a real one, whose names are taken for what a test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ferkit.data.source import find_source, open_csv, redirects
from ferkit.errors import UserError

CSV = b"emotion,pixels,Usage\n0,1 2 3 4,Training\n"


class Server(ThreadingHTTPServer):
    """Sends from `/` on to `to`, and answers everything else with the CSV."""

    daemon_threads = True
    to = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        host = self.headers["Host"].partition(":")[0]
        self.server.asked.append((host, self.path, self.headers.get("Authorization", "")))
        self.send_response(302 if self.path == "/" else 200)
        if self.path == "/":
            self.send_header("Location", self.server.to)
        self.send_header("Content-Length", str(len(CSV)))
        self.end_headers()
        self.wfile.write(CSV)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """At `localhost`, which counts as the internet's here, and at 127.0.0.1, which is private."""
    monkeypatch.setattr(redirects, "addresses_of", lambda host: ["8.8.8.8"] if host == "localhost" else [host])
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_out_of_the_internet_into_a_private_network_is_not_followed_and_not_quoted(server: Server):
    server.to = f"http://127.0.0.1:{server.server_port}/latest/meta-data"
    with pytest.raises(UserError) as refused:
        find_source(f"http://ann:secret@localhost:{server.server_port}/").version()
    assert str(refused.value) == (
        f"http://localhost:{server.server_port}/: the server sends on to 127.0.0.1, which is in a private network, and "
        "is not followed there; use that address itself if you trust it"
    )
    assert [(host, path) for host, path, _ in server.asked] == [("localhost", "/")]


@pytest.mark.parametrize(
    ("first", "then"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost"), ("localhost", "localhost")]
)
def test_any_other_redirect_is_followed_without_a_password_for_another_host(server: Server, first: str, then: str):
    server.to = f"http://{then}:{server.server_port}/faces.csv"
    with open_csv(f"http://ann:secret@{first}:{server.server_port}/") as opened:
        assert opened.stream.read() == CSV
    told = {(host, path): bool(password) for host, path, password in server.asked}
    assert told == {(first, "/"): True, (then, "/faces.csv"): first == then}


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("169.254.169.254", True),
        ("100.64.0.1", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("fe80::1", True),
        ("fd00::1", True),
        ("::ffff:192.168.0.1", True),
        ("2130706433", True),  # 127.0.0.1, as a resolver takes it
        ("localhost", True),
        ("8.8.8.8", False),
        ("2606:4700:4700::1111", False),
        ("a..b", False),
    ],
)
def test_what_is_private(host: str, private: bool):
    assert redirects.is_private(host) is private
