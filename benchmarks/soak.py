"""Many small runs in one folder: what is left of each but its place in the store.

    make soak                                   30 runs
    python -m benchmarks.soak --runs 10

Every run is `ferpipe run` as a person types it: one small network, two epochs, drawn faces, MLflow on SQLite. After
each, the machine is asked for processes and open files of the runs, and the folders are weighed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import psutil

from ferkit.data.sample import draw_csv

CONFIG = """
balance: {strategy: none}
train: {recipe: tuned, epochs: 2, batch_size: 64, tta: none}
candidates: [{architecture: lenet, width: 0.125}]
register: {floor_macro_f1: 0.0, floor_recall: 0.0}
"""


@dataclass(frozen=True)
class Left:
    """What there is after a run; sizes in MB."""

    run: int
    seconds: float
    processes: int
    open_files: int
    temporary_files: int
    temporary: float
    running: int
    cache_entries: int
    state: float
    artifacts: float
    logs: float
    database: float
    mlruns: float


def main() -> None:
    """Prints the table, a line as soon as its run has ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    names = [field.name.replace("_", " ") for field in fields(Left)]
    print(f"| {' | '.join(names)} |\n|{' ---: |' * len(names)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ferpipe-soak-") as folder:
        draw_csv(Path(folder) / "faces.csv", faces=700, seed=0)
        for number in range(1, runs + 1):
            cells = [
                f"{value:.1f}" if isinstance(value, float) else str(value)
                for value in astuple(_run(Path(folder), number))
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def _run(folder: Path, number: int) -> Left:
    """One run; ends the soak where it fails."""
    home, scratch = folder / "home", folder / "tmp"
    scratch.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG)
    environment = {
        **os.environ,
        "TMPDIR": str(scratch),
        "FERPIPE_HOME": str(home),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    command = [sys.executable, "-m", "pipeline.cli", "run", "--csv", str(folder / "faces.csv")]
    command += ["--config", str(folder / "config.yaml"), "--set", f"train.seed={number}"]
    started = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    seconds = time.monotonic() - started
    processes, open_files = _living(home)
    return Left(
        run=number,
        seconds=seconds,
        processes=processes,
        open_files=open_files,
        temporary_files=sum(path.is_file() for path in scratch.rglob("*")),
        temporary=_megabytes(scratch),
        running=len(list((home / "running").iterdir())),
        cache_entries=len(list((home / "cache").glob("*.json"))),
        state=_megabytes(home / "state"),
        artifacts=_megabytes(home / "artifacts"),
        logs=_megabytes(home / "logs"),
        database=_megabytes(folder / "mlflow.db"),
        mlruns=_megabytes(folder / "mlruns"),
    )


def _living(home: Path) -> tuple[int, int]:
    """Processes that a run has left, told by their environment, and the files that they hold open."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FERPIPE_HOME") == str(home):
                found.append(process.num_fds())
        except psutil.Error:
            continue
    return len(found), sum(found)


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file()) / 1e6


if __name__ == "__main__":
    main()
