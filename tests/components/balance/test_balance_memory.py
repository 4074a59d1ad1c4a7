"""Peak memory of balance hardly grows with the training faces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_balance_classes import make_folder

BALANCE = """
import sys
from components.balance import balance_classes as module
from components.balance.parameters import Balance
module.CHUNK = 256  # the fewer faces in work at a time, the clearer any that are held
print(module.balance_classes(*sys.argv[1:], Balance()).splits["train"]["rows"])
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])  # getrusage's has the parent's in it
"""


def peak_of_balance(faces: Path, balanced: Path, rows: int) -> int:
    """Peak resident memory (bytes) of a fresh process that balances; the interpreter and its imports included."""
    ran = subprocess.run([sys.executable, "-c", BALANCE, faces, balanced], check=True, capture_output=True, text=True)
    written, peak = map(int, ran.stdout.split())
    assert written == rows
    return peak * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_four_times_the_training_faces_take_hardly_more_memory(tmp_path: Path) -> None:
    """5,025 training faces and 20,100: holding the further ones would take 35 MB, a quarter; 100 bytes each are 1.5 MB.

    A tenth is left for these, and for chance: how far the writing is behind the making.
    """
    peaks = []
    for times in (25, 100):
        faces = make_folder(tmp_path / f"faces-{times}", times)
        peaks.append(peak_of_balance(faces, tmp_path / f"balanced-{times}", times * 350))
    assert peaks[1] < 1.1 * peaks[0]
