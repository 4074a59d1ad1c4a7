"""Where a training keeps its state, and what is said when it cannot. On a real S3 server: tests/services."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.stub import Stubber

from components.bad_input import BadInput
from components.train.state import FolderStore, S3Store, State


def test_what_a_killed_save_left_is_removed(tmp_path: Path):
    store = FolderStore(tmp_path)
    store.save(State(history=[{"train/loss": 1.0}]))
    (tmp_path / ".state-abandoned").write_bytes(b"half")
    assert store.load() == State(history=[{"train/loss": 1.0}])
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("AccessDenied", r"\(AccessDenied\).*; give a state_dir that can be read, or allow s3:ListBucket \("),
        ("NoSuchBucket", r"\(NoSuchBucket\).*; give a state_dir that can be read$"),
    ],
)
def test_a_refusal_of_s3_is_one_sentence(code: str, cure: str):
    store = S3Store("s3://faces/runs")
    with Stubber(store.client) as answers:
        answers.add_client_error("get_object", code, http_status_code=403)
        with pytest.raises(BadInput, match=f"^s3://faces/runs/state.npz: .*{cure}"):
            store.load()
