"""Run in a process of its own: opens a pipeline run with a search and goes through its trials, one after the other.

argv[1] is JSON: the sections, the data set's folder, the owners', the address of MLflow, a run to adopt (empty for a
new one), and at which training to hang (0 for none): it makes the file `hangs` there, and waits to be killed.

A trial is not trained here: its figures are a function of its settings. That equal trainings come to equal figures, and
go on where they were, is for test_train.py to say; a network's would take a minute.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow

from components.open_run.open_run import PipelineRun, open_run
from components.train import train as step
from components.train.train import train_candidate
from ferkit.data import Faces
from ferkit.tracking import names
from ferkit.tracking.owner import local_owner
from ferkit.tracking.store import connect
from ferkit.training import fit
from ferkit.training.candidate import Candidate
from ferkit.training.fit import Epoch, Trained

LOG = logging.getLogger("test")
EPOCHS = 3


def run_search(asked: dict[str, Any]) -> list[str]:
    """The run ids of all trials, gone through."""
    client = connect(asked["tracking_uri"])
    started = itertools.count(1)

    def pretend(candidate: Candidate, *_: Any, on_epoch: Callable[[int, Epoch], None], **__: Any) -> Trained:
        if next(started) == asked["hang_at"]:
            Path(asked["owners"], "hangs").touch()
            time.sleep(600)
        history = [figures_of(candidate, epoch) for epoch in range(1, EPOCHS + 1)]
        for number, epoch in enumerate(history, 1):
            on_epoch(number, epoch)
        network: Any = None
        return Trained(network, history, EPOCHS)

    real = fit.fit, step.log_results
    fit.fit, step.log_results = pretend, log_figures
    try:
        with local_owner(Path(asked["owners"])) as owner:
            pipeline_run = PipelineRun(
                owner.id, owner, asked["parameters"], "sha256:00", "c0ffee", asked["parent_run_id"]
            )
            run_ids = open_run(client, pipeline_run, LOG)
            for run_id in run_ids:
                train_candidate(client, run_id, Path(asked["folder"]), "", LOG)
    finally:
        fit.fit, step.log_results = real
    return run_ids


def figures_of(candidate: Candidate, epoch: int) -> Epoch:
    """Best at a learning rate of 0.01 and without dropout; at half of all steps, half of what it comes to."""
    network: Any = candidate.network
    final = 0.9 - 0.2 * abs(math.log10(candidate.train.learning_rate) + 2) - network.dropout / 10
    figures = dict.fromkeys(("train/loss", "val/loss", "epoch_seconds", "images_per_second"), 1.0)
    return figures | {"val/accuracy": final * epoch / EPOCHS, "val/macro_f1": final * epoch / EPOCHS}


def log_figures(candidate: Candidate, trained: Trained, validation: Faces, seconds: float) -> None:
    """In place of a trial's model and pictures: the figures that decide anything."""
    best = trained.history[trained.best_epoch - 1]
    mlflow.log_metrics({name: best[f"val/{figure}"] for figure, name in names.BEST_VALIDATION.items()})


if __name__ == "__main__":
    run_search(json.loads(sys.argv[1]))
