"""What is said where a disk takes no more: by a limit on files here, by a full disk in tests/services."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

WRITES = {
    "a data set": (
        "from components.ingest.ingest import ingest_csv; ingest_csv(sys.argv[1], sys.argv[2] + '/faces')",
        "/faces: ",
    ),
    "a training's state": (
        "from pathlib import Path; import numpy as np; from ferkit.training.state import FolderStore, State\n"
        "    FolderStore(Path(sys.argv[2], 'state')).save(State({'w': np.zeros(50_000)}))",
        "/state/state.npz: ",
    ),
    "a device that is full": ("open('/dev/full', 'wb', 0).write(b'0')", ""),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_disk_that_takes_no_more_is_one_sentence_with_the_path_and_the_cure(
    what: str, sample_csv: Path, tmp_path: Path
):
    """In a step, whose process may write files of 100 kB."""
    body, path = WRITES[what]
    code = f"import sys; from ferkit.step import step_context\nwith step_context('a_step'):\n    {body}\n"
    done = subprocess.run(
        [sys.executable, "-c", code, sample_csv, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 1
    [sentence] = [line for line in done.stdout.splitlines() if line.startswith("ferpipe? ")]
    if path:
        cure = "raise the limit on the size of files (ulimit -f)"
        assert sentence == f"ferpipe? a_step: {tmp_path}{path}File too large; {cure}"
        assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
    else:
        assert "No space left on device (" in sentence
        assert "MB free there); make room, which `ferpipe clean` does where it can" in sentence
