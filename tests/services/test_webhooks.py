"""Webhooks for a champion's change, fired by a real MLflow server to a real receiver, and who may make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner
from promotable import add_version_to
from team import Team, environment_of, team_of_three

from pipeline.cli import cli

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

SECRET = "planted-hmac-secret-4711"
KEY = "planted-address-key-4711"
LOCAL_RECEIVERS = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(b"k" * 32).decode(),
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_WEBHOOK_CACHE_TTL": "1",
}


@dataclass(frozen=True)
class Post:
    """What the receiver was sent."""

    headers: dict[str, str]
    body: bytes

    @property
    def signature(self) -> str:
        """As docs/registry.md says that a receiver computes it."""
        signed = f"{self.headers['X-MLflow-Delivery-Id']}.{self.headers['X-MLflow-Timestamp']}.{self.body.decode()}"
        digest = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
        return f"v1,{base64.b64encode(digest).decode()}"


class Receiver:
    """An HTTP server that keeps what it is sent, and answers with `status`."""

    def __init__(self) -> None:
        self.status, self.posts = 200, Queue[Post]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.put(Post(dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self.server.server_port}"
        self.address = f"{self.host}/hooks"

    def promoted(self) -> Post:
        """The next post about an alias `champion`."""
        while True:
            post = self.posts.get(timeout=60)
            if json.loads(post.body)["data"]["alias"] == "champion":
                return post


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    threading.Thread(target=receiver.server.serve_forever, daemon=True).start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with team_of_three(tmp_path_factory.mktemp("team"), LOCAL_RECEIVERS) as team:
        yield team


@pytest.fixture
def client(team: Team, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """The administrator's."""
    for name, value in environment_of("admin", team.address).items():
        monkeypatch.setenv(name, value)
    return mlflow.MlflowClient(team.address, team.address)


def test_a_promotion_is_posted_and_signed(
    team: Team, client: mlflow.MlflowClient, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    given = ("webhook", "add", "deploy", receiver.address, "--secret-file", str(tmp_path / "secret"))
    assert f"webhook deploy: {receiver.host}/… is notified within a minute" in team.ferpipe("admin", *given).stdout
    version = add_version_to(client, "none", "approved", challenger=True)
    time.sleep(1.1)  # the server asks its store anew for webhooks every MLFLOW_WEBHOOK_CACHE_TTL
    assert team.ferpipe("petra", "promote").exit_code == 0
    post = receiver.promoted()
    told = json.loads(post.body)
    assert (told["entity"], told["action"]) == ("model_version_alias", "created")
    assert told["data"] == {"name": "facial-expression", "alias": "champion", "version": version}
    assert post.headers["X-MLflow-Signature"] == post.signature

    assert (
        "an example was delivered, and answered with 200" in team.ferpipe("admin", "webhook", "test", "deploy").stdout
    )
    assert receiver.posts.get(timeout=60).headers["X-MLflow-Signature"]
    receiver.status = 410
    refused = team.ferpipe("admin", "webhook", "test", "deploy")
    assert refused.exit_code == 1
    assert "it answered 410" in refused.stderr

    removed = json.loads(team.ferpipe("admin", "webhook", "remove", "deploy", "--json").stdout)
    assert removed["name"] == "deploy"
    assert json.loads(team.ferpipe("admin", "webhook", "list", "--json").stdout) == []
    while not receiver.posts.empty():
        receiver.posts.get()
    time.sleep(1.1)
    client.set_registered_model_alias("facial-expression", "champion", version)
    with pytest.raises(Empty):
        receiver.posts.get(timeout=3)


def test_a_key_in_the_address_and_the_secret_are_shown_nowhere(
    team: Team, client: mlflow.MlflowClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERPIPE_WEBHOOK_ADDRESS", f"{receiver.address}/{KEY}?key={KEY}")
    monkeypatch.setenv("FERPIPE_WEBHOOK_SECRET", SECRET)
    monkeypatch.setattr(receiver, "status", 500)
    said = [
        team.ferpipe("admin", *words)
        for words in (
            ("webhook", "add", "keyed", "--json"),
            ("webhook", "add", "keyed"),
            ("webhook", "list"),
            ("webhook", "list", "--json"),
            ("webhook", "test", "keyed"),
            ("webhook", "remove", "keyed"),
        )
    ]
    assert [one.exit_code for one in said] == [0, 1, 0, 0, 1, 0]
    told = "".join(one.output + one.stderr for one in said)
    assert receiver.host in told
    assert KEY not in told
    assert SECRET not in told
    # MLflow keeps the address as it is, the secret encrypted, and hands neither the secret out.
    assert SECRET not in str([vars(one) for one in client.list_webhooks()])


def test_who_is_no_administrator_is_told_so(team: Team) -> None:
    for words in (("list",), ("add", "mine", "https://ci.example/hook", "--unsigned")):
        refused = team.ferpipe("petra", "webhook", *words)
        assert refused.exit_code == 1
        assert f"webhooks on {team.address} are for administrators of that MLflow" in refused.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "no good name", "https://ci.example/hook", "--unsigned"), "does not take this webhook"),
        (("add", "ftp", "ftp://ci.example/hook", "--unsigned"), "begins with https://"),
        (("test", "depoy"), "no webhook 'depoy'"),
        (("remove", "depoy"), "no webhook 'depoy'"),
    ],
)
def test_what_cannot_be_is_one_sentence(team: Team, words: tuple[str, ...], sentence: str) -> None:
    refused = team.ferpipe("admin", "webhook", *words)
    assert refused.exit_code == 1
    assert sentence in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_receiver_that_is_not_there_is_one_sentence(team: Team) -> None:
    assert team.ferpipe("admin", "webhook", "add", "gone", f"http://127.0.0.1:9/{KEY}", "--unsigned").exit_code == 0
    refused = team.ferpipe("admin", "webhook", "test", "gone")
    assert "could not deliver to http://127.0.0.1:9/" in refused.stderr
    assert "(ConnectionError)" in refused.stderr
    team.ferpipe("admin", "webhook", "remove", "gone")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("deploy", "https://ci.example/hook"), "--secret-file"),
        (("deploy",), "FERPIPE_WEBHOOK_ADDRESS"),
        (("deploy", f"https://ann:{KEY}@ci.example/hook", "--unsigned"), "FERPIPE_WEBHOOK_ADDRESS"),
        (("deploy", f"https://ci.example/hook?key={KEY}", "--unsigned"), "FERPIPE_WEBHOOK_ADDRESS"),
    ],
)
def test_wrong_usage_is_said_before_any_server_is_asked(words: tuple[str, ...], sentence: str) -> None:
    refused = CliRunner().invoke(cli, ["webhook", "add", *words, "--tracking-uri", "http://127.0.0.1:9"])
    assert refused.exit_code == 2
    assert sentence in refused.output
    assert KEY not in refused.output


def test_a_store_without_a_server_has_no_webhooks(tmp_path: Path) -> None:
    refused = CliRunner().invoke(cli, ["webhook", "list", "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"])
    assert refused.exit_code == 1
    assert "fired by a server, and this store has none" in refused.output
