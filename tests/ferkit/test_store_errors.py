"""What MLflow's client raises, classified: from a real store, and from servers that answer as MLflow and proxies do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import mlflow
import pytest

from ferkit.store_errors import StoreError, classify, explain
from ferkit.tracking.store import connect


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that answers every request with one HTTP status and body."""
    status, body = request.param

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def error_of(ask: Callable[[], object]) -> BaseException:
    with pytest.raises(mlflow.MlflowException) as raised:
        ask()
    return raised.value


@pytest.mark.parametrize(
    ("answering", "kind", "words"),
    [
        # MLflow's auth plugin answers so (seen with mlflow 3.17.2), and a proxy in front of it.
        ((401, b"You are not authenticated."), StoreError.REFUSED, "MLFLOW_TRACKING_USERNAME"),
        ((403, b"Permission denied"), StoreError.REFUSED, "for the right"),
        ((503, b"<html>no healthy upstream</html>"), StoreError.OUT_OF_REACH, "HTTP status 503"),
        ((404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"}'), StoreError.MISSING, "no run"),
        ((400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "wrong"}'), StoreError.OTHER, "wrong"),
    ],
    indirect=["answering"],
)
def test_a_servers_answer(answering: str, kind: StoreError, words: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    error = error_of(lambda: connect(answering).get_run("0" * 32))
    assert classify(error) is kind
    assert words in explain(error, answering)
    assert answering in explain(error, answering)


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://ann:secret@127.0.0.1:{free.getsockname()[1]}"
    error = error_of(lambda: connect(address).get_run("0" * 32))
    assert classify(error) is StoreError.OUT_OF_REACH
    sentence = explain(error, address)
    assert "does not answer (connection refused); start it" in sentence
    assert "secret" not in sentence


def test_what_is_in_the_trash_comes_with_the_command_that_restores_it(new_store: Callable[[Path], str], tmp_path: Path):
    client = connect(new_store(tmp_path))
    run_id = client.create_run("0").info.run_id
    client.delete_run(run_id)
    error = error_of(lambda: client.set_tag(run_id, "a", "b"))
    assert classify(error) is StoreError.DELETED
    assert f"`mlflow runs restore --run-id {run_id}`" in explain(error, "sqlite:///mlflow.db")
    assert classify(error_of(lambda: client.get_run("f" * 32))) is StoreError.MISSING
    experiment_id = client.create_experiment("deleted")
    client.delete_experiment(experiment_id)
    error = error_of(lambda: client.create_run(experiment_id))
    assert (
        f"experiment {experiment_id} is in the trash; `mlflow experiments restore --experiment-id {experiment_id}`"
        in (explain(error, "sqlite:///mlflow.db"))
    )
