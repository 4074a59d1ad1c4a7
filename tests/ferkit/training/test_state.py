"""Where a training keeps its state, and what is said when it cannot. On a real S3 server: tests/services."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from botocore.stub import Stubber

from ferkit.errors import OutOfReach, UserError
from ferkit.training.state import FolderStore, S3Store, State, open_state


def test_what_a_killed_save_left_is_removed(tmp_path: Path):
    store = FolderStore(tmp_path)
    store.save(State(history=[{"train/loss": 1.0}]))
    (tmp_path / ".state-abandoned").write_bytes(b"half")
    assert store.load() == State(history=[{"train/loss": 1.0}])
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("AccessDenied", r"\(AccessDenied\).*; set a state_dir that can be read, or allow s3:ListBucket \("),
        ("NoSuchBucket", r"\(NoSuchBucket\).*; set a state_dir that can be read$"),
    ],
)
def test_a_refusal_of_s3_is_one_sentence(code: str, cure: str):
    store = S3Store("s3://faces/runs")
    with Stubber(store.client) as answers:
        answers.add_client_error("get_object", code, http_status_code=403)
        with pytest.raises(OutOfReach, match=f"^s3://faces/runs/state.npz: .*{cure}"):
            store.load()


@pytest.mark.parametrize("failure", [ConnectTimeoutError, ReadTimeoutError])
def test_an_s3_that_never_answers_is_given_up_within_30_s(failure: Any, monkeypatch: pytest.MonkeyPatch):
    """On a clock that goes by what is waited for: the client's own timeouts, and the pauses between questions."""
    store = S3Store("s3://faces/runs")
    settings = store.client.meta.config
    timeout = settings.connect_timeout if failure is ConnectTimeoutError else settings.read_timeout
    clock = [0.0]

    def never_answers(**_: object) -> None:
        clock[0] += timeout
        raise failure(endpoint_url="http://192.0.2.1", error="timed out")

    def wait(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("ferkit.training.state.time.sleep", wait)
    monkeypatch.setattr("ferkit.training.state.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(store.client, "put_object", never_answers)
    with pytest.raises(OutOfReach, match="set a state_dir that can be written"):
        store.save(State())
    assert 2 * timeout <= clock[0] <= 30


def test_a_state_that_is_damaged_or_not_to_be_read_is_one_sentence(tmp_path: Path):
    store = FolderStore(tmp_path)
    store.save(State(history=[{"train/loss": 1.0}]))
    whole = store.path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not an archive"):
        store.path.write_bytes(damaged)
        with pytest.raises(
            OutOfReach, match=f"^{store.path}: no whole training state .*; remove it to train from the start"
        ):
            open_state(store)
    store.path.unlink()
    store.path.mkdir()
    with pytest.raises(OutOfReach, match=r"training's state: .*; set a state_dir that can be read"):
        open_state(store)


def test_whoever_may_read_the_folder_may_read_the_state(tmp_path: Path):
    before = os.umask(0o027)
    try:
        FolderStore(tmp_path).save(State())
    finally:
        os.umask(before)
    assert (tmp_path / "state.npz").stat().st_mode & 0o777 == 0o640


def test_settings_that_make_no_client_of_s3_are_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UserError, match=r"^s3://faces/runs/state.npz: .*nobody.*; check AWS_PROFILE"):
        S3Store("s3://faces/runs")
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")
    with pytest.raises(UserError, match=r"no address.*; check AWS_PROFILE and AWS_ENDPOINT_URL"):
        S3Store("s3://faces/runs")
