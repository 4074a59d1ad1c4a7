"""What a run of many candidates costs beside its trainings: `python -m benchmarks.candidates`.

First the pipeline with 1,000 candidates, whose steps do nothing: each returns what the next one needs, in this process,
so that what is left is kfp's local runner, loops and Collected included. Then, with `--trained N`, a real `ferpipe run`
of N small candidates on a small drawn sample, with nothing left out: every step a process of its own, every candidate
trained, evaluated and registered.

Printed: seconds a candidate, the runner's memory, and the longest argument that a step got (Linux takes 128 kB).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import mlflow
import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
EVERY = 0.2
"""Seconds between two looks at the real run's processes."""

FACES = "sample://?faces=300&seed=0"
SETTINGS: dict[str, Any] = {
    "registered_model": "many",
    "balance": {"strategy": "none"},
    "train": {"recipe": "tuned", "epochs": 1, "batch_size": 64, "tta": "none"},
    "register": {"floor_macro_f1": 0.0, "floor_recall": 0.0},
}


def many(count: int) -> list[dict[str, Any]]:
    """As many candidates, which differ in their seed and nothing else."""
    return [{"architecture": "lenet", "width": 0.125, "seed": seed} for seed in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1000, help="candidates of the pipeline whose steps do nothing")
    parser.add_argument("--trained", type=int, default=0, help="candidates of the real run; 0: none")
    arguments = parser.parse_args()
    print("| candidates | steps | seconds | a candidate | memory of the runner | longest argument |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |", flush=True)
    # A process of its own: kfp never restores root logging and print.
    command = [sys.executable, "-c", f"from benchmarks import candidates; candidates.run_idle({arguments.items})"]
    subprocess.run(command, cwd=ROOT, check=True)
    if arguments.trained:
        run_trained(arguments.trained)


def row(count: int, steps: str, seconds: float, memory: int, longest: int) -> str:
    """A line of the table; memory and the argument in bytes."""
    cells = [f"{count:,}", steps, f"{seconds:,.0f}", f"{seconds / count:.2f} s", f"{memory / 2**20:.0f} MiB"]
    return "| " + " | ".join([*cells, f"{longest / 1000:.1f} kB"]) + " |"


def run_idle(count: int) -> None:
    """The pipeline in kfp's local runner, each step replaced by what it returns.

    `open_run` opens no run: the ids are made up, as long as MLflow's.
    """
    from kfp import local
    from kfp.local import status, subprocess_task_handler

    from pipeline.dag import pipeline_for
    from pipeline.parameters import Parameters

    run_ids = [f"{number:032x}" for number in range(count)]
    longest = 0

    def return_at_once(task: Any) -> status.Status:
        nonlocal longest
        longest = max(longest, *(len(word) for word in task.full_command))
        words = task.full_command
        told = json.loads(words[words.index("--executor_input") + 1])
        step = words[words.index("--function_to_execute") + 1]
        parameters = told["inputs"].get("parameterValues", {})
        outputs = told["outputs"]
        returned = {"open_run": run_ids, "ensemble": ""}.get(
            step, parameters.get("run_id", parameters.get("run_ids", ""))
        )
        said = {
            "parameterValues": dict.fromkeys(outputs.get("parameters", {}), returned),
            "artifacts": outputs.get("artifacts", {}),
        }
        path = Path(outputs["outputFile"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(said))
        return status.Status.SUCCESS

    table = os.dup(1)  # what kfp prints, a page for each task, goes nowhere
    with tempfile.TemporaryDirectory() as scratch, Path(os.devnull).open("w") as quiet:
        os.dup2(quiet.fileno(), 1)
        local.init(local.SubprocessRunner(use_venv=False), pipeline_root=scratch)
        started = time.perf_counter()
        with mock.patch.object(subprocess_task_handler.SubprocessTaskHandler, "run", return_at_once):
            pipeline_for()(**Parameters.parse({"candidates": many(count)}).dump())
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    os.write(table, (row(count, "do nothing", seconds, peak, longest) + "\n").encode())


def run_trained(count: int) -> None:
    """A real run; the processes are looked at from outside while it runs.

    Raises:
        SystemExit: the run failed, or not every candidate became a version.
    """
    memory = longest = 0
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "many.yaml"
        config.write_text(
            yaml.safe_dump({"csv": FACES, "candidates": many(count), "registered_model": "many", **SETTINGS})
        )
        uri = f"sqlite:///{scratch}/mlflow.db"
        command = [sys.executable, "-m", "pipeline.cli", "run", "--config", str(config)]
        command += ["--home", f"{scratch}/home", "--tracking-uri", uri]
        ended = threading.Event()

        def look(run: psutil.Process) -> None:
            nonlocal memory, longest
            while not ended.wait(EVERY):
                try:
                    [worker] = run.children()
                    memory = max(memory, worker.memory_info().rss)
                    for step in worker.children():
                        longest = max([longest, *(len(word) for word in step.cmdline())])
                except (psutil.Error, ValueError):  # one has just ended, or none has begun
                    continue

        started = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        run = subprocess.Popen(command, cwd=scratch, env=environment, stdout=subprocess.PIPE, text=True)
        watch = threading.Thread(target=look, args=[psutil.Process(run.pid)])
        watch.start()
        printed, _ = run.communicate()
        seconds = time.perf_counter() - started
        ended.set()
        watch.join()
        if run.returncode:
            raise SystemExit(printed)
        client = mlflow.MlflowClient(uri, uri)
        versions = client.search_model_versions("name = 'many'", max_results=10_000)
        if len(versions) != count + 1:  # and the ensemble
            raise SystemExit(f"{len(versions)} versions of {count} candidates and an ensemble\n{printed}")
    print(row(count, "trained, evaluated, registered", seconds, memory, longest))


if __name__ == "__main__":
    main()
