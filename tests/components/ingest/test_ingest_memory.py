"""Peak memory of ingest does not grow with the rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ferkit.data import SPLITS

INGEST = """
import sys
from components.ingest.ingest import ingest_csv
print(ingest_csv(*sys.argv[1:]).source["rows"])
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])  # getrusage's has the parent's in it
"""


def write_csv(path: Path, rows: int) -> None:
    """Faces of 48 x 48, no two alike: the first four grey levels number them, the others are 0 to 9 at random."""
    rng = np.random.default_rng(0)
    tails = [" ".join(map(str, tail)) for tail in rng.integers(0, 10, (64, 48 * 48 - 4)).tolist()]
    with path.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for n in range(rows):
            usage = ("Training", "Training", "PublicTest", "PrivateTest")[n % 4]
            file.write(f"{n % 7},{n % 10} {n // 10 % 10} {n // 100 % 10} {n // 1000} {tails[n % 64]},{usage}\n")


def peak_of_ingest(csv: Path, output: Path, rows: int) -> int:
    """Peak resident memory (bytes) of a fresh process that ingests; the interpreter and its imports included."""
    ran = subprocess.run([sys.executable, "-c", INGEST, csv, output], check=True, capture_output=True, text=True)
    read, peak = map(int, ran.stdout.split())
    assert read == rows
    assert sum((output / f"{split}.parquet").stat().st_size for split in SPLITS) > rows * 48 * 48, "faces were lost"
    return peak * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_three_times_the_rows_take_no_more_memory(tmp_path: Path):
    """Holding the faces would take a quarter more. A tenth is left for chance: how far threads run ahead."""
    peaks = []
    for rows in (8_000, 24_000):
        write_csv(tmp_path / "faces.csv", rows)
        peaks.append(peak_of_ingest(tmp_path / "faces.csv", tmp_path / str(rows), rows))
    assert peaks[1] < 1.1 * peaks[0]
