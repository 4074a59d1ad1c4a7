"""The webhook is told how a run ended; when it cannot be told, the run does not fail and its address is not shown."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.close_run.webhook import form_of, message, post_outcome

KEY = "planted-webhook-4711"
OUTCOME = {"status": "FAILED", "run": "1f", "failure": "ingest: row 7 <b> & co", "verdict": ""}


class Room:
    """A chat room's webhook: what it was sent, and the status with which it answers."""

    def __init__(self) -> None:
        self.status, self.sent = 200, []
        room = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                room.sent.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(room.status)
                if room.status == 302:
                    self.send_header("Location", f"/elsewhere/{KEY}")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/services/{KEY}"


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    threading.Thread(target=room.server.serve_forever, daemon=True).start()
    yield room
    room.server.shutdown()
    room.server.server_close()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("ferpipe"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    return caplog


def test_the_outcome_is_posted_as_it_is(room: Room) -> None:
    post_outcome(room.address, OUTCOME)
    assert room.sent == [(f"/services/{KEY}", OUTCOME)]


def test_slack_gets_a_message_with_its_own_characters_escaped(room: Room) -> None:
    post_outcome(room.address, OUTCOME, "slack")
    [(_, sent)] = room.sent
    assert sent == {"text": "*facial-expression FAILED*\nrun: 1f\nfailure: ingest: row 7 &lt;b&gt; &amp; co"}
    assert message(OUTCOME) == sent["text"]


def test_slacks_own_addresses_get_slacks_form_unless_told_otherwise() -> None:
    assert form_of("https://hooks.slack.com/services/T/B/1", "") == "slack"
    assert form_of("https://hooks.slack.com/services/T/B/1", "json") == "json"
    assert form_of("https://chat.example/hooks/1", "") == "json"
    assert form_of("https://chat.example/hooks/1", "slack") == "slack"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refusal_is_one_warning_without_the_address(room: Room, log: pytest.LogCaptureFixture, status: int) -> None:
    room.status = status
    post_outcome(room.address, OUTCOME)
    [warning] = [record.getMessage() for record in log.records if record.name == "ferpipe"]
    assert f"it answered {status}" in warning
    assert len(room.sent) == 1  # a redirect is not followed
    assert KEY not in "".join(record.getMessage() for record in log.records if record.name == "ferpipe")


@pytest.mark.parametrize(
    "address", [f"http://127.0.0.1:9/{KEY}", f"http://kubeflow.invalid/{KEY}", f"no address {KEY}"]
)
def test_a_webhook_that_cannot_be_reached_is_one_warning_without_the_address(
    log: pytest.LogCaptureFixture, address: str
) -> None:
    post_outcome(address, OUTCOME)
    [warning] = [record.getMessage() for record in log.records if record.name == "ferpipe"]
    assert "not delivered" in warning
    assert KEY not in warning


def test_no_logger_shows_the_address(room: Room, log: pytest.LogCaptureFixture) -> None:
    post_outcome(room.address, OUTCOME)
    assert KEY not in log.text
