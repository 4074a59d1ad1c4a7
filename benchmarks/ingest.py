"""Ingest beside other ways to read the same CSV, interleaved in one run; prints the table of benchmarks/ingest.md.

    python benchmarks/ingest.py fer2013.csv            about 2 minutes for 300 MB on two cores
    python benchmarks/ingest.py fer2013.csv --times 10 also ingests the rows ten times over (needs 10 times the disk)

Every way runs in a process of its own, whose time is taken after its imports and whose peak RSS the kernel keeps. Bare
parses end with all faces in memory, uint8 (rows, 2304), and do no more: no checks, no digests, nothing written. Outside
the time, the grey levels that each way read are added up, and must come to the same sum.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ferkit.cores import usable_cores

WIDTH = 48 * 48


def read_as_the_notebook(csv: str) -> np.ndarray:
    """pandas, then int() for every pixel of every row, as the notebooks do."""
    import pandas as pd

    table = pd.read_csv(csv)
    return np.array([[int(pixel) for pixel in row.split(" ")] for row in table["pixels"]])


def read_with_fromstring(csv: str) -> np.ndarray:
    """np.fromstring(sep=" ") for every row."""
    with Path(csv).open("rb") as file:
        next(file)
        faces = [np.fromstring(line.split(b",")[1], np.uint8, sep=" ") for line in file]
    return np.stack(faces)


def read_with_pyarrow(csv: str) -> np.ndarray:
    """pyarrow's CSV reader, streamed, split_pattern and cast; all its threads."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pv

    chunks = []
    with pv.open_csv(csv) as reader:
        for batch in reader:
            numbers = pc.list_flatten(pc.split_pattern(batch.column("pixels"), " "))  # pyright: ignore
            chunks.append(pc.cast(numbers, pa.uint8()).to_numpy())  # pyright: ignore
    return np.concatenate(chunks).reshape(-1, WIDTH)


def read_with_digits(csv: str) -> np.ndarray:
    """Digits over whole blocks of bytes with numpy; one thread a core. No checks whatever: labels have one digit."""

    def parse(lines: bytes) -> np.ndarray:
        text = np.frombuffer(lines, np.uint8)
        ends = np.flatnonzero((text[:-1] > 47) & (text[1:] < 48))
        digit = text - np.uint8(48)
        one, ten, hundred = digit[ends], digit[ends - 1], digit[ends - 2]
        tens = ten < 10
        numbers = one + tens * (ten * np.uint8(10) + (hundred < 10) * (hundred * np.uint8(100)))
        return numbers.reshape(-1, WIDTH + 2)[:, 1:-1]  # the label, and what the letters of Usage look like

    rest, chunks = b"", []
    with ThreadPoolExecutor(usable_cores()) as pool, Path(csv).open("rb", buffering=0) as file:
        file.seek(len(file.readline()))
        waiting = []
        while data := file.read(1 << 18):
            cut = data.rfind(b"\n") + 1
            waiting.append(pool.submit(parse, rest + data[:cut]))
            rest = data[cut:]
            if len(waiting) > 8:
                chunks.append(waiting.pop(0).result())
        chunks += [one.result() for one in waiting]
    return np.concatenate(chunks)


def read_with_ours(csv: str) -> None:
    """Our reader alone: checks, SHA-256 of the CSV and a digest of every face, but no duplicates and no Parquet."""
    from ferkit.data.source import CsvReader, open_csv

    with open_csv(csv) as opened:
        for _ in CsvReader(opened.stream, opened.name).rows():
            pass


def ingest(csv: str) -> None:
    """All of ingest: parse, checks, duplicates, digests, Parquet."""
    from components.ingest.ingest import ingest_csv

    with tempfile.TemporaryDirectory(dir=Path(csv).parent) as folder:
        ingest_csv(csv, Path(folder) / "faces")


WAYS: dict[str, Callable[[str], np.ndarray | None]] = {
    "int() per pixel, the notebook's": read_as_the_notebook,
    "np.fromstring per row": read_with_fromstring,
    "pyarrow, split and cast": read_with_pyarrow,
    "vectorised digits, unchecked": read_with_digits,
    "our reader: checks, digests": read_with_ours,
    "**ingest, whole**": ingest,
}
NOTEBOOK, OURS, INGEST = "int() per pixel, the notebook's", "our reader: checks, digests", "**ingest, whole**"


def measure(way: str, csv: str) -> tuple[float, float, float, list[int]]:
    """Wall seconds, processor seconds, peak RSS in MB, and rows and sum of the faces, of one way in a fresh process."""
    command = [sys.executable, __file__, csv, "--way", way]
    return tuple(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def run_one(way: str, csv: str) -> None:
    """The child: imports first, then the clock."""
    import components.ingest.ingest  # noqa: F401, I001  (before Arrow, as in the step)
    import pandas  # noqa: F401
    import pyarrow.csv  # noqa: F401

    wall, cpu = time.perf_counter(), time.process_time()
    faces = WAYS[way](csv)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    found = [] if faces is None else [len(faces), int(faces.sum(dtype=np.int64))]
    print(json.dumps([wall, cpu, peak, found]))


def repeat_rows(csv: str, times: int, target: Path) -> None:
    """The CSV with its rows `times` over; every copy differs in the last pixels, so that it is no duplicate."""
    with Path(csv).open("rb") as source, target.open("wb") as out:
        out.write(source.readline())
        rows = source.tell()
        for number in range(times):
            source.seek(rows)
            for line in source:
                head, pixels, usage = line.split(b",")
                out.write(b",".join([head, pixels.rsplit(b" ", 1)[0] + b" %d" % number, usage]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", help="FER2013, uncompressed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        run_one(arguments.way, arguments.csv)
        return
    found: dict[str, list[tuple[float, float, float, list[int]]]] = {way: [] for way in WAYS}
    for number in range(arguments.rounds):
        for way in WAYS:
            if way != NOTEBOOK or number == 0:
                found[way].append(measure(way, arguments.csv))
    fastest = min(
        (way for way in WAYS if way not in (INGEST, OURS)), key=lambda way: statistics.median(r[0] for r in found[way])
    )
    read = {tuple(run[3]) for rounds in found.values() for run in rounds if run[3]}
    if len(read) != 1:
        raise SystemExit(f"the ways do not read the same: rows and sums {read}")
    rows = read.pop()[0]
    print(f"{rows:,} rows, {Path(arguments.csv).stat().st_size / 1e6:.0f} MB, {usable_cores()} cores, ")
    print(f"medians of {arguments.rounds} rounds (the notebook's way: 1)\n")
    print("| way | wall s | processor s | peak RSS MB | wall, of the fastest bare parse's |")
    print("| --- | --- | --- | --- | --- |")
    for way, rounds in found.items():
        wall, cpu, peak = (statistics.median(figures) for figures in list(zip(*rounds, strict=True))[:3])
        base = [run[0] for run in found[fastest]]
        ratio = statistics.median(run[0] / base[n] for n, run in enumerate(rounds))
        print(f"| {way} | {wall:.2f} | {cpu:.2f} | {peak:.0f} | {ratio:.2f} |")
    if arguments.times > 1:
        with tempfile.TemporaryDirectory(dir=Path(arguments.csv).parent) as folder:
            large = Path(folder) / "large.csv"
            repeat_rows(arguments.csv, arguments.times, large)
            wall, cpu, peak, _ = measure(INGEST, str(large))
        once = statistics.median(run[0] for run in found[INGEST])
        memory = statistics.median(run[2] for run in found[INGEST])
        print(
            f"\nIngest of {arguments.times} times the rows ({rows * arguments.times:,}): {wall:.1f} s "
            f"({wall / once:.1f} times), ",
            end="",
        )
        print(f"processor {cpu:.1f} s, peak RSS {peak:.0f} MB ({peak / memory:.2f} times)")


if __name__ == "__main__":
    main()
