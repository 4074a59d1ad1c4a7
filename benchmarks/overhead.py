"""Where the time of a run of the sample goes: every step, its epochs apart, and what lies between the steps.

    python -m benchmarks.overhead [--before CHECKOUT] [--rounds 3] > benchmarks/overhead.md

Runs `ferpipe run` on the drawn sample (configs/sample.yaml) from the beginning, each time with a store and a home of
its own; with `--before`, another checkout of this repository takes turns with this one, in the same environment.
Seconds by the clock are those that the command prints. CPU seconds are those of a step's own process, read from the
operating system while it runs: they hold on a machine that is busy with something else.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pipeline.step_resources import STEPS

ROOT = Path(__file__).resolve().parent.parent
EVERY = 0.1
"""Seconds between two looks at the processes."""

FINISHED = re.compile(r"^\S (?P<step>\w+) +(?:(?P<minutes>\d+) m )?(?P<seconds>[\d.]+) s  ")
EPOCH = re.compile(r"images/s, (?P<seconds>[\d.]+) s$")
IMPORTS = {
    "a step's own (kfp)": "import kfp.dsl.executor_main",
    "MLflow": "import mlflow",
    "pandas, which MLflow imports": "import pandas",
    "Keras and TensorFlow": "import keras",
    "scikit-learn, which Keras imports": "import sklearn.base",
}


@dataclass
class Run:
    """One run of the pipeline.

    Attributes:
        clock: by step, the seconds of each of its tasks, as the command printed them.
        cpu: by step, the CPU seconds of each task.
        epochs: seconds of each epoch.
        total: seconds from the command's start to its end.
        total_cpu: CPU seconds of the command and all that it started.
    """

    clock: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    epochs: list[float] = field(default_factory=list)
    total: float = 0.0
    total_cpu: float = 0.0


def run_sample(checkout: Path, settings: Iterable[str]) -> Run:
    """`ferpipe run` of a checkout, to its end.

    Raises:
        SystemExit: it failed; what it printed is shown.
    """
    run = Run()
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pipeline.cli", "run", "--config", str(checkout / "configs" / "sample.yaml")]
        command += ["--home", f"{scratch}/home", "--tracking-uri", f"sqlite:///{scratch}/mlflow.db"]
        command += [word for one in settings for word in ("--set", one)]
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watch = _Watch(process.pid)
        assert process.stdout
        printed = []
        for line in process.stdout:
            printed.append(line)
            if found := FINISHED.match(line):
                if epoch := EPOCH.search(line.rstrip()):
                    run.epochs.append(float(epoch["seconds"]))
                elif line[0] == "✓":
                    seconds = 60 * int(found["minutes"] or 0) + float(found["seconds"])
                    run.clock.setdefault(found["step"], []).append(seconds)
        status = process.wait()
        run.total = time.perf_counter() - start
        run.cpu, run.total_cpu = watch.end()
    if status:
        raise SystemExit(f"ferpipe run of {checkout} ended with status {status}:\n{''.join(printed)}")
    return run


class _Watch:
    """Reads the CPU time of a command's steps, and of all that it started, while they run."""

    def __init__(self, pid: int) -> None:
        self._command = psutil.Process(pid)
        self._seconds: dict[int, tuple[str, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            try:
                processes = [self._command, *self._command.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for process in processes:
                try:
                    spent = process.cpu_times()
                    step = self._seconds.get(process.pid, ("", 0.0))[0] or _step_of(process)
                except psutil.NoSuchProcess:
                    continue
                self._seconds[process.pid] = step, spent.user + spent.system

    def end(self) -> tuple[dict[str, list[float]], float]:
        """By step, the CPU seconds of each of its tasks in order; and those of all processes together."""
        self._over.set()
        self._thread.join()
        steps: dict[str, list[float]] = {}
        for step, seconds in self._seconds.values():
            if step:
                steps.setdefault(step, []).append(seconds)
        return steps, sum(seconds for _, seconds in self._seconds.values())


def _step_of(process: psutil.Process) -> str:
    """The step that a process of kfp's executor runs; empty for other processes."""
    words = process.cmdline()
    if "kfp.dsl.executor_main" in words and "--function_to_execute" in words:  # started by itself
        return words[words.index("--function_to_execute") + 1]
    return process.name() if process.name() in STEPS else ""  # a fork, which has the step's name


def time_imports(rounds: int) -> dict[str, float]:
    """CPU seconds that a fresh process takes to import what every step needs: the least of `rounds`, less Python's."""

    def cpu(statement: str) -> float:
        before = os.times()
        environment = {**os.environ, "_KFP_RUNTIME": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run([sys.executable, "-c", statement], check=True, env=environment, stderr=subprocess.DEVNULL)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    bare = min(cpu("pass") for _ in range(rounds))
    return {name: min(cpu(statement) for _ in range(rounds)) - bare for name, statement in IMPORTS.items()}


def as_rows(run: Run) -> dict[str, tuple[float, float]]:
    """(seconds, CPU seconds) of one task of every step, of an epoch, of what lies between, and of the whole run."""
    candidates = max(len(run.clock.get("train", [])), 1)
    rows: dict[str, tuple[float, float]] = {}
    for step, clock in run.clock.items():
        seconds, cpu = sum(clock) / len(clock), sum(run.cpu.get(step, [])) / len(clock)
        if step == "train":
            seconds -= sum(run.epochs) / candidates
            rows["train, less its epochs"] = seconds, float("nan")  # an epoch's own CPU time is not told apart
            rows["an epoch"] = sum(run.epochs) / max(len(run.epochs), 1), float("nan")
        else:
            rows[step] = seconds, cpu
    per_candidate = [name for name in ("train, less its epochs", "evaluate") if name in rows]
    fixed = [step for step in run.clock if step not in ("train", "evaluate")]
    rows["**a candidate, less its epochs**"] = sum(rows[name][0] for name in per_candidate), float("nan")
    rows["**all other steps**"] = sum(rows[step][0] for step in fixed), sum(rows[step][1] for step in fixed)
    rows["between steps, before and after"] = run.total - sum(map(sum, run.clock.values())), float("nan")
    rows["**the whole run**"] = run.total, run.total_cpu
    return rows


def report(runs: dict[str, list[Run]], imports: dict[str, float], settings: Iterable[str]) -> str:
    """The committed page: medians over the rounds."""
    names = list(runs)
    tables = {name: [as_rows(run) for run in some] for name, some in runs.items()}
    lines = list(dict.fromkeys(line for name in names for table in tables[name] for line in table))
    rounds = len(next(iter(runs.values())))
    options = "".join(f" --set {one}" for one in settings)
    text = [
        "# What a run costs beside its epochs",
        "",
        f"`ferpipe run{options}` on the sample, from an empty store: `python -m benchmarks.overhead`; {os.cpu_count()} "
        f"cores, load {os.getloadavg()[0]:.0f}; median of {rounds} rounds, in turns. A step's figures are those of one "
        "task of it.",
        "",
        "| | " + " | ".join(f"{name}: seconds | CPU seconds" for name in names) + " |",
        "| --- |" + " ---: | ---: |" * len(names),
    ]
    for line in lines:
        cells = []
        for name in names:
            found = [table[line] for table in tables[name] if line in table]
            cells += [_cell([seconds for seconds, _ in found]), _cell([cpu for _, cpu in found])]
        text.append(f"| {line} | " + " | ".join(cells) + " |")
    text += [
        "",
        "What a process that imports what a step needs takes for it (CPU seconds):",
        "",
        *(f"- {name}: {seconds:.1f}" for name, seconds in imports.items()),
    ]
    return "\n".join(text) + "\n"


def _cell(values: list[float]) -> str:
    known = [value for value in values if value == value]
    return f"{statistics.median(known):.1f}" if known else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout of this repository, to compare with")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before.resolve()} if arguments.before else {}
    checkouts["now"] = ROOT
    runs: dict[str, list[Run]] = {name: [] for name in checkouts}
    for _ in range(arguments.rounds):
        for name, checkout in checkouts.items():
            runs[name].append(run_sample(checkout, arguments.settings))
    sys.stdout.write(report(runs, time_imports(3), arguments.settings))


if __name__ == "__main__":
    main()
