"""Who owns a pipeline run: one at a time, whoever races; alive while it beats or holds its lock; no clock decides."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from ferkit.errors import UserError
from ferkit.tracking import names, tree
from ferkit.tracking.owner import Heart, Owner, claim, has_stopped, holds_lock, local_owner, owner_of, owners
from ferkit.tracking.store import connect

HOLD = """
import sys
from pathlib import Path
from ferkit.tracking.owner import local_owner
with local_owner(Path(sys.argv[1])) as owner:
    print(owner.to_json(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def address(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    return new_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def client(address: str) -> mlflow.MlflowClient:
    return connect(address)


@pytest.fixture
def run_id(client: mlflow.MlflowClient) -> str:
    return client.create_run(tree.experiment_id(client, names.EXPERIMENT)).info.run_id


def present(client: mlflow.MlflowClient, run_id: str) -> str:
    owner = owner_of(client.get_run(run_id))
    assert owner is not None
    return owner.id


def test_the_last_one_to_claim_a_run_owns_it(client: mlflow.MlflowClient, run_id: str):
    assert owner_of(client.get_run(run_id)) is None
    for owner_id in ("first", "first", "second"):  # a retried step claims what it has
        claim(client, client.get_run(run_id), Owner(owner_id))
    assert [owner.id for owner in owners(client.get_run(run_id))] == ["first", "second"]
    assert client.get_run(run_id).data.tags[names.OWNER] == "second"


def test_who_opens_a_run_owns_it_without_a_parameter_that_would_differ_between_two_runs(client: mlflow.MlflowClient):
    opener = Owner("opener", "/somewhere/lock")
    parent = tree.open_parent(client, tree.experiment_id(client, names.EXPERIMENT), opener, {}, "opened")
    claim(client, parent, opener)  # as a retried step does
    assert owners(parent) == [opener]
    assert client.get_run(parent.info.run_id).data.params == {}
    claim(client, parent, Owner("second"))
    taken = client.get_run(parent.info.run_id)
    assert owners(taken) == [opener, Owner("second")]
    assert set(taken.data.params) == {"owner/2"}


def _claim(address: str, run_id: str, owner_id: str, start: Any) -> None:
    client = connect(address)
    found_free = client.get_run(run_id)
    start.wait()
    try:
        claim(client, found_free, Owner(owner_id))
    except UserError:
        sys.exit(7)


@pytest.mark.slow
def test_of_several_that_found_a_run_free_one_gets_it_and_the_others_are_told(
    address: str, client: mlflow.MlflowClient, run_id: str
):
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    processes = [context.Process(target=_claim, args=(address, run_id, f"racer-{n}", start)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(process.exitcode or 0 for process in processes) == [0, 7, 7, 7]
    [owner] = owners(client.get_run(run_id))
    assert [process.exitcode for process in processes].index(0) == int(owner.id.removeprefix("racer-"))


def test_a_lock_says_at_once_whether_its_command_lives(tmp_path: Path):
    command = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    owner = Owner.parse(command.stdout.readline(), "")
    assert holds_lock(owner) is True
    command.kill()
    command.wait()
    assert holds_lock(owner) is False
    assert holds_lock(Owner("of another machine", str(tmp_path / "elsewhere" / "lock"))) is None
    assert holds_lock(Owner("a pipeline run")) is None


def test_the_scratch_of_a_killed_command_goes_with_the_next_and_its_lock_stays(tmp_path: Path):
    dead = tmp_path / "0123"
    (dead / "tmp" / "model").mkdir(parents=True)
    (dead / "lock").touch()
    with local_owner(tmp_path) as owner:
        assert owner.scratch.is_dir()
        assert [path.name for path in dead.iterdir()] == ["lock"]
    assert [path.name for path in tmp_path.iterdir()] == ["0123"]


def elsewhere(client: mlflow.MlflowClient, run_id: str) -> Owner:
    """An owner on another machine, whose lock cannot be looked at here, after one beat."""
    owner = Owner("elsewhere", "/another/machine/lock")
    claim(client, client.get_run(run_id), owner)
    client.set_tag(run_id, names.BEAT, "elsewhere 1")
    return owner


def test_an_owner_elsewhere_has_stopped_when_three_beats_are_missing(client: mlflow.MlflowClient, run_id: str):
    elsewhere(client, run_id)
    waited: list[float] = []
    assert has_stopped(client, client.get_run(run_id), waited.append, interval=10.0)
    assert waited == [10.0] * 3


@pytest.mark.parametrize("late", [1, 3])
def test_an_owner_elsewhere_that_beats_lives(client: mlflow.MlflowClient, run_id: str, late: int):
    elsewhere(client, run_id)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == late:
            client.set_tag(run_id, names.BEAT, "elsewhere 2")

    assert not has_stopped(client, client.get_run(run_id), wait)
    assert len(waited) == late


def test_a_heart_beats_until_another_takes_the_run_over(client: mlflow.MlflowClient, run_id: str):
    owner = Owner("mine", "/somewhere/lock")
    claim(client, client.get_run(run_id), owner)
    lost = threading.Event()
    heart = Heart(client, run_id, owner, lost.set, interval=0.05)

    def beat() -> str:
        return client.get_run(run_id).data.tags.get(names.BEAT, "")

    seen = {beat()}
    while len(seen) < 3:
        seen.add(beat())
    assert not lost.is_set()
    claim(client, client.get_run(run_id), Owner("another", "/elsewhere/lock"))
    assert lost.wait(60)
    last = beat()
    heart.close()
    assert beat() == last
    assert present(client, run_id) == "another"
