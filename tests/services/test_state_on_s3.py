"""A training's state on a real S3 server: OpenStack Swift with its S3 API."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from between import DROP, FORWARD, Between, answer
from swift import S3Server

from ferkit.data import read_split
from ferkit.errors import OutOfReach, UserError
from ferkit.training.state import WAITS, S3Store, State, store_for

pytestmark = pytest.mark.services
RUNNER = Path(__file__).parent.parent / "ferkit" / "training" / "fit_until_killed.py"
EPOCHS = 6


def test_a_state_comes_back_bit_for_bit(s3: Any):
    store = store_for("s3://faces/runs/", "parent", "candidate")
    assert isinstance(store, S3Store)
    assert store.load() is None
    for epochs in (1, 2):  # the second replaces the first
        weights = np.random.default_rng(epochs).normal(size=(3, 5)).astype(np.float32)
        store.save(State({"now/0": weights}, [{"train/loss": 1 / 3}] * epochs))
        found = store.load()
        assert found is not None
        assert np.array_equal(found.arrays["now/0"], weights)
        assert found.history == [{"train/loss": 1 / 3}] * epochs
    listed = s3.list_objects_v2(Bucket="faces")["Contents"]
    assert [item["Key"] for item in listed] == ["runs/parent/candidate/state.npz"]


def test_a_bucket_that_is_not_there_is_one_sentence(s3: Any):
    with pytest.raises(UserError, match=r"s3://nowhere/p/c/state.npz: .*set a state_dir that can be read"):
        S3Store("s3://nowhere/p/c").load()


def test_an_s3_that_does_not_answer_for_a_while_is_asked_again(
    s3: Any, server: S3Server, monkeypatch: pytest.MonkeyPatch
):
    """A training of hours does not end for it; nor does it wait for ever, or where S3 has said no."""
    monkeypatch.setattr("ferkit.training.state.WAITS", (0.0,) * len(WAITS))
    saved = State(history=[{"train/loss": 1.0}])
    with Between(server.endpoint) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        store = S3Store("s3://faces/patient/run")
        bad = iter([DROP, answer(503), answer(500), DROP])
        between.behave = lambda _: next(bad, FORWARD)
        store.save(saved)
        assert store.load() == saved
        between.behave = lambda _: answer(503)
        before = len(between.seen)
        with pytest.raises(OutOfReach, match=r"s3://faces/patient/run/state.npz: .*503.*that can be written$"):
            store.save(State())
        with pytest.raises(OutOfReach, match=r"s3://faces/patient/run/state.npz: .*503.*that can be read$"):
            store.load()
        assert len(between.seen) - before == 2 * (len(WAITS) + 1)
        between.behave = lambda _: answer(403)
        with pytest.raises(OutOfReach):
            store.save(State())
        assert len(between.seen) - before == 2 * (len(WAITS) + 1) + 1
        between.behave = lambda _: FORWARD
        assert store.load() == saved


def test_killed_and_started_again_on_jax_it_ends_with_the_same_weights(s3: Any, sample_faces: Path, tmp_path: Path):
    """As in tests/components/train/test_train.py, but with JAX and the state where pods of a cluster keep it."""
    faces = read_split(sample_faces, "train")
    np.savez(tmp_path / "faces.npz", emotion=faces.emotion[:140], pixels=faces.pixels[:140])

    def train(name: str, dies_at: int = 0) -> int:
        arguments = [str(tmp_path / "faces.npz"), f"s3://faces/{name}", str(EPOCHS), "jax", str(dies_at)]
        return subprocess.run([sys.executable, str(RUNNER), *arguments]).returncode

    def state(name: str) -> State:
        return S3Store(f"s3://faces/{name}").load() or State()

    assert train("killed", dies_at=3) == -signal.SIGKILL
    assert len(state("killed").history) == 2
    assert (train("killed"), train("unbroken")) == (0, 0)
    one, two = state("unbroken"), state("killed")
    assert len(one.history) == len(two.history) == EPOCHS
    assert one.arrays.keys() == two.arrays.keys()
    assert [key for key in one.arrays if not np.array_equal(one.arrays[key], two.arrays[key])] == []
