"""What is wrong with S3 before any server is asked."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.stub import Stubber

from ferkit.data.source import find_source, s3
from ferkit.data.source.s3 import S3Object
from ferkit.errors import UserError


@pytest.fixture(autouse=True)
def no_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of this machine: neither in the environment nor in files."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_a_profile_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UserError) as refused:
        find_source("s3://faces/a.csv")
    assert str(refused.value) == (
        "s3://faces/a.csv: AWS_PROFILE names 'nobody', a profile that is not in the AWS config (~/.aws/config, "
        "~/.aws/credentials); name one that is"
    )


def test_no_credentials_at_all():
    with pytest.raises(UserError, match=r"^s3://faces/a\.csv: no credentials for S3; set AWS_ACCESS_KEY_ID and"):
        find_source("s3://faces/a.csv").version()


@pytest.mark.parametrize(
    ("address", "key", "member"),
    [
        ("s3://faces/set #2 (new?).csv", "set #2 (new?).csv", ""),
        ("s3://faces/a/sets.zip#ck/fer.csv", "a/sets.zip", "ck/fer.csv"),
        ("s3://faces/sets.tar.gz#fer.csv", "sets.tar.gz", "fer.csv"),
        ("s3://faces/%41+b&c=d.csv", "%41+b&c=d.csv", ""),
    ],
)
def test_a_key_is_taken_as_it_is_and_a_member_only_behind_an_archive(
    address: str, key: str, member: str, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    source = S3Object(address)
    head = {"ETag": '"1f"', "ContentLength": 7}
    monkeypatch.setattr(source._client, "head_object", lambda Bucket, Key: asked.append(Key) or head)
    assert source.version() == "s3:etag=1f:7"
    assert (asked, source.member, source.address) == ([key], member, f"s3://faces/{key}")


@pytest.mark.parametrize("endpoint", ["http://[your-server]", "http://host:99999", "no address"])
def test_an_endpoint_that_is_no_address_is_one_sentence(endpoint: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(UserError, match=r"^s3://faces/a\.csv: S3 cannot be reached .*check AWS_ENDPOINT_URL"):
        find_source("s3://faces/a.csv").version()


@pytest.mark.parametrize("address", ["s3://faces", "s3://faces/", "s3://faces/data/"])
def test_an_address_without_an_object(address: str):
    with pytest.raises(UserError, match="names no object; use s3://bucket/key"):
        find_source(address)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Object, Stubber]]:
    """An object, and what S3 answers: botocore's stub, with the fields that S3's documentation names."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_REQUEST_PAYER", raising=False)
    source = S3Object("s3://faces/a b.csv")
    with Stubber(source._client) as answers:
        yield source, answers


@pytest.mark.parametrize(("region", "cure"), [("eu-west-1", "eu-west-1"), ("", "REGION")])
def test_a_bucket_in_another_region_is_named_with_it(answers: tuple[S3Object, Stubber], region: str, cure: str):
    source, stub = answers
    headers = {"x-amz-bucket-region": region} if region else {}
    stub.add_client_error("head_object", "301", http_status_code=301, response_meta={"HTTPHeaders": headers})
    with pytest.raises(UserError) as refused:
        source.version()
    assert str(refused.value) == (
        f"s3://faces/a b.csv: the bucket lies in another region; set AWS_DEFAULT_REGION={cure}"
    )


HEAD = {"ETag": '"1f"', "ContentLength": 7}
RESTORE = "aws s3api restore-object --bucket faces --key 'a b.csv' --restore-request Days=7"


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"StorageClass": "GLACIER"}, rf"lies in S3's archive \(GLACIER\); bring it back with `{RESTORE}`"),
        (
            {"StorageClass": "DEEP_ARCHIVE", "Restore": 'ongoing-request="true"'},
            r"\(DEEP_ARCHIVE\); it is being brought",
        ),
        (
            {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"},
            r"\(ARCHIVE_ACCESS\); bring it back",
        ),
    ],
)
def test_an_object_in_the_archive_comes_with_the_command_that_brings_it_back(
    answers: tuple[S3Object, Stubber], head: dict[str, str], said: str
):
    source, stub = answers
    stub.add_response("head_object", {**HEAD, **head})
    with pytest.raises(UserError, match=said):
        source.version()


@pytest.mark.parametrize(
    "head",
    [
        {"StorageClass": "GLACIER", "Restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2046 00:00:00 GMT"'},
        {"StorageClass": "GLACIER_IR"},
        {"StorageClass": "INTELLIGENT_TIERING"},
    ],
)
def test_an_object_that_can_be_read_at_once_is(answers: tuple[S3Object, Stubber], head: dict[str, str]):
    source, stub = answers
    stub.add_response("head_object", {**HEAD, **head})
    assert source.version() == "s3:etag=1f:7"


def test_who_pays_is_asked_of_the_environment(answers: tuple[S3Object, Stubber], monkeypatch: pytest.MonkeyPatch):
    source, stub = answers
    asked = {"Bucket": "faces", "Key": "a b.csv"}
    stub.add_client_error("head_object", "403", http_status_code=403, expected_params=asked)
    with pytest.raises(UserError, match=r"; of a bucket whose requester pays, set AWS_REQUEST_PAYER=requester$"):
        source.version()
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    stub.add_response("head_object", HEAD, {**asked, "RequestPayer": "requester"})
    assert source.version() == "s3:etag=1f:7"
    stub.add_client_error("head_object", "403", http_status_code=403)
    with pytest.raises(UserError, match=r"and their rights to the object$"):
        source.version()


def test_a_server_that_takes_the_question_and_never_answers_is_given_up_within_30_s(monkeypatch: pytest.MonkeyPatch):
    """Counted with a server that hears and says nothing, and the client's timeouts made short."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "name")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    real, short = s3.SETTINGS, Config(connect_timeout=1, read_timeout=0.1)
    monkeypatch.setattr(s3, "SETTINGS", real.merge(short))
    asked: list[bytes] = []
    over = threading.Event()

    class Silent(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline())
            over.wait()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        try:
            with pytest.raises(UserError, match=r"^s3://faces/a\.csv: S3 cannot be reached"):
                find_source("s3://faces/a.csv").version()
        finally:
            over.set()
            server.shutdown()
    timeout: Any = max(real.connect_timeout, real.read_timeout)  # pyright: ignore[reportAttributeAccessIssue]
    pauses = sum(2**attempt for attempt in range(len(asked) - 1))  # at most, of botocore's standard mode
    assert len(asked) >= 2
    assert len(asked) * timeout + pauses <= 30
