"""Balancing to the largest class, beside the notebooks' way, and at 10 times the rows.

    python -m benchmarks.balance [CSV] [--tenfold] > benchmarks/balance.md

`CSV` is FER2013's by default (`FER2013_DEV_CSV`, or where tests look for it), else the drawn sample. The notebooks' way
is one augmented face at a time by SciPy, its pixels joined to a string, and one append to the DataFrame for each: once,
to its end, since the cost of an append grows with the rows that are there.
CPU seconds stand beside those of the clock, and ratios are of CPU seconds: other work stretches the clock's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from components.balance.balance_classes import balance_classes, make_chunks
from components.balance.parameters import Balance
from components.balance.plan import plan_new_faces
from components.ingest.ingest import ingest_csv
from components.ingest.parameters import Ingest
from ferkit.data import (
    SPLITS,
    Faces,
    SplitWriter,
    read_profile,
    read_split,
    read_split_in_chunks,
    split_path,
    write_profile,
)
from ferkit.data.sample import draw_csv

DEVELOPMENT_CSV = Path(__file__).resolve().parents[2] / "shared" / "fer2013" / "fer2013-dev.csv.gz"
REPEATS = 3


@dataclass(frozen=True)
class Seconds:
    """What a piece of work took by the clock, and on all cores together."""

    clock: float
    cpu: float


@contextmanager
def stopwatch(taken: list[Seconds]) -> Iterator[None]:
    """Appends what the block took."""
    clock, cpu = time.perf_counter(), time.process_time()
    yield
    taken.append(Seconds(time.perf_counter() - clock, time.process_time() - cpu))


def median(taken: list[Seconds]) -> Seconds:
    """The medians of both clocks."""
    return Seconds(statistics.median(one.clock for one in taken), statistics.median(one.cpu for one in taken))


@dataclass(frozen=True)
class Timed:
    """What each repeat took, the training faces, the new faces made, and a fresh process's peak memory in MB."""

    taken: list[Seconds]
    rows: int
    made: int
    peak: float


def time_ours(folder: Path, scratch: Path, taken: list[Seconds]) -> None:
    """From data set folder to data set folder: read, plan, augment, digest, write, prove."""
    target = scratch / "balanced"
    shutil.rmtree(target, ignore_errors=True)
    with stopwatch(taken):
        balance_classes(folder, target, Balance())


def time_making(folder: Path, taken: list[Seconds]) -> None:
    """What the notebooks' loop does and no more: the same new faces, in memory; reading the training faces included."""
    with stopwatch(taken):
        emotion = np.concatenate([chunk.emotion for chunk in read_split_in_chunks(folder, "train")])
        for _ in make_chunks(folder, plan_new_faces(emotion, Balance()), Balance()):
            pass


def peak_of_ours(folder: Path, scratch: Path) -> float:
    """Peak resident memory (MB) of a fresh process that balances; the interpreter and its imports included."""
    code = (
        "import sys; from components.balance.balance_classes import *\n"
        "balance_classes(sys.argv[1], sys.argv[2], Balance())\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"  # getrusage's has the parent's in it
    )
    target = scratch / "measured"
    shutil.rmtree(target, ignore_errors=True)
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(target)], check=True, capture_output=True, text=True
    )
    return float(ran.stdout) / 1024


def time_notebook(frame: pd.DataFrame, faces: int, taken: list[Seconds]) -> None:
    """So many new faces the notebooks' way: pick, parse, augment, join, append."""
    rng = np.random.default_rng(0)
    techniques = (_mask, _rotate, _blur, np.fliplr, _salt)
    parents = len(frame)
    with stopwatch(taken):
        for number in range(faces):
            row = frame.iloc[int(rng.integers(parents))]
            face = np.array([int(pixel) for pixel in row["pixels"].split()], dtype=np.uint8).reshape(48, 48)
            made = techniques[number % len(techniques)](face)
            pixels = " ".join(str(pixel) for pixel in made.ravel())
            new = pd.DataFrame({"emotion": [row["emotion"]], "pixels": [pixels], "Usage": ["Training"]})
            frame = pd.concat([frame, new], ignore_index=True)


def _mask(face: np.ndarray) -> np.ndarray:
    x, y = np.ogrid[:48, :48]
    masked = face.copy()
    masked[(x - 24) ** 2 + (y - 24) ** 2 > 48 * 48 / 4] = 0
    return masked


def _rotate(face: np.ndarray) -> np.ndarray:
    turned = np.asarray(ndimage.rotate(face, 45))
    return np.clip(np.asarray(ndimage.zoom(turned, 48 / turned.shape[0])), 0, 255).astype(np.uint8)


def _blur(face: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(face, sigma=1)


def _salt(face: np.ndarray) -> np.ndarray:
    return face + (255 * (np.random.default_rng(0).random(face.shape) < 0.05)).astype(np.uint8)


def as_notebook_frame(folder: Path) -> pd.DataFrame:
    """The training split as the notebooks hold it: emotion, pixels as text, Usage."""
    train = read_split(folder, "train")
    text = [" ".join(map(str, face.ravel().tolist())) for face in train.pixels]
    return pd.DataFrame({"emotion": train.emotion, "pixels": pd.Series(text, dtype=object), "Usage": "Training"})


def repeat_train(folder: Path, target: Path, times: int) -> Path:
    """A data set folder with each training face `times` times, under rows of their own."""
    target.mkdir()
    profile = read_profile(folder)
    records = {}
    for split in SPLITS:
        with SplitWriter(split_path(target, split), profile.side) as writer:
            for turn in range(times if split == "train" else 1):
                for chunk in read_split_in_chunks(folder, split):
                    row = chunk.row + np.int32(turn * 1_000_000)
                    writer.write(Faces(row, chunk.emotion, chunk.pixels, chunk.technique, chunk.in_train))
        records[split] = writer.record()
    write_profile(target, type(profile)(profile.source, profile.side, records))
    return target


def measure(folders: dict[str, Path], scratch: Path, frame: pd.DataFrame) -> tuple[dict[str, Timed], Seconds, Seconds]:
    """Ours in turn, `REPEATS` times, so that a busy minute of the machine falls on each alike; the notebooks' once."""
    ours: dict[str, list[Seconds]] = {name: [] for name in folders}
    notebook: list[Seconds] = []
    making: list[Seconds] = []
    for _ in range(REPEATS):
        for name, folder in folders.items():
            time_making(folders["1x"], making)
            time_ours(folder, scratch, ours[name])
    timed = {}
    for name, folder in folders.items():
        peak = peak_of_ours(folder, scratch)
        before, after = (read_profile(one).splits["train"]["rows"] for one in (folder, scratch / "measured"))
        timed[name] = Timed(ours[name], before, after - before, peak)
    time_notebook(frame, timed["1x"].made, notebook)
    return timed, median(making), median(notebook)


def report(timed: dict[str, Timed], making: Seconds, notebook: Seconds, source: str) -> str:
    """The committed table."""
    one = timed["1x"]
    ours = median(one.taken)
    lines = [
        "# Balancing to the largest class",
        "",
        f"`python -m benchmarks.balance{' --tenfold' if '10x' in timed else ''}` on {source}; {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.0f}; median of {REPEATS} interleaved repeats.",
        "",
        "| way | training faces | new faces | seconds | CPU seconds | new faces per CPU second | peak memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, some in timed.items():
        took = median(some.taken)
        lines.append(
            f"| `balance`, {name} | {some.rows:,} | {some.made:,} | {took.clock:.2f} | {took.cpu:.2f} "
            f"| {some.made / took.cpu:,.0f} | {some.peak:.0f} MB |"
        )
    lines += [
        f"| new faces only, in memory | {one.rows:,} | {one.made:,} | {making.clock:.2f} | {making.cpu:.2f} "
        f"| {one.made / making.cpu:,.0f} | |",
        f"| notebooks' way, once, to its end | {one.rows:,} | {one.made:,} | {notebook.clock:.0f} | {notebook.cpu:.0f} "
        f"| {one.made / notebook.cpu:,.0f} | |",
        "",
        f"- Making the new faces takes a {notebook.cpu / making.cpu:,.0f}th of the notebooks' loop, in CPU seconds.",
        "- The whole step, with digests, writing and the proof of every parent, none of which the loop has, takes a "
        f"{notebook.cpu / ours.cpu:,.0f}th.",
    ]
    if "10x" in timed:
        ten, tenfold = timed["10x"], median(timed["10x"].taken)
        lines.append(
            f"- 10 times the rows take {tenfold.cpu / ours.cpu:.1f} times the CPU seconds and "
            f"{ten.peak / one.peak:.2f} times the peak memory."
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", nargs="?", default=os.environ.get("FER2013_DEV_CSV", str(DEVELOPMENT_CSV)))
    parser.add_argument(
        "--tenfold", action="store_true", help="also at 10 times the training rows (about 1.5 GB of disk)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        source = Path(arguments.csv)
        if not source.exists():
            source = scratch / "sample.csv"
            draw_csv(source)
        ingest_csv(str(source), scratch / "1x", Ingest())
        folders = {"1x": scratch / "1x"}
        if arguments.tenfold:
            folders["10x"] = repeat_train(scratch / "1x", scratch / "10x", 10)
        timed, making, notebook = measure(folders, scratch, as_notebook_frame(scratch / "1x"))
        sys.stdout.write(report(timed, making, notebook, source.name))


if __name__ == "__main__":
    main()
