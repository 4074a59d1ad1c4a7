"""Who may promote, where a server answers with errors. One with users is asked in tests/services/test_team_server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import mlflow
import pytest

from ferkit.errors import UserError
from ferkit.registry.rights import CURRENT_USER, PERMISSION, check_may_promote
from ferkit.store_errors import StoreError, classify
from ferkit.tracking.store import connect

ANN = (200, json.dumps({"user": {"username": "ann", "is_admin": False}}))
EDIT = (200, json.dumps({"permission": "EDIT"}))
MISSING = json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is none"})
BUSY = "<html>no healthy upstream</html>"


@pytest.fixture
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.MlflowClient]:
    """A client of a server that answers some paths with a status and a body, and all others with 404."""
    answers = request.param

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path.partition("?")[0], (404, MISSING))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield connect(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "client", [{CURRENT_USER: (500, BUSY)}, {CURRENT_USER: ANN, PERMISSION: (503, BUSY)}], indirect=True
)
def test_an_error_of_the_server_is_no_right(client: mlflow.MlflowClient) -> None:
    with pytest.raises(mlflow.MlflowException) as raised:
        check_may_promote(client)
    assert classify(raised.value) is StoreError.OUT_OF_REACH


@pytest.mark.parametrize("client", [{}], indirect=True)
def test_a_server_without_users_lets_everybody(client: mlflow.MlflowClient) -> None:
    assert check_may_promote(client) == ""


@pytest.mark.parametrize("client", [{CURRENT_USER: ANN, PERMISSION: EDIT}], indirect=True)
def test_who_may_only_edit_is_told_what_is_missing(client: mlflow.MlflowClient) -> None:
    with pytest.raises(UserError, match=r"ann may not promote on .* takes MANAGE on the registered model"):
        check_may_promote(client)
