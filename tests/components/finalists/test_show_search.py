"""What a search leaves on the parent run, asked of MLflow. Its trials were not trained: their runs say they were."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.artifacts import download_artifacts, load_text
from mlflow.entities import Metric
from PIL import Image
from rich.console import Console

from components.finalists.finalists import choose_finalists
from components.finalists.show_search import FOLDER, NOTE, show_search
from components.open_run.open_run import PipelineRun, open_run
from ferkit.errors import UserError
from ferkit.metrics.classification import Scores
from ferkit.metrics.evaluation import FILE, Evaluation, describe_split
from ferkit.search.trials import find_search
from ferkit.tracking import candidates, names, tree
from ferkit.tracking.names import State
from ferkit.tracking.owner import Owner
from ferkit.tracking.store import connect
from pipeline.layers import read_parameters
from pipeline.parameters import Parameters
from pipeline.summary import print_summary, summary

LOG = logging.getLogger("test")
SPACES = [
    {"architecture": "lenet", "learning_rate": {"low": 1e-4, "high": 0.1, "log": True}, "filters": [[8, 16], [16, 32]]},
    {"architecture": "multi_kernel", "learning_rate": [0.001, 0.01]},
]


@pytest.fixture
def client(new_store: Callable[[Path], str], tmp_path: Path) -> mlflow.MlflowClient:
    return connect(new_store(tmp_path))


def searched(client: mlflow.MlflowClient, scores: list[float | None], space: Any, **search: Any) -> list[str]:
    """The run ids of a random search's trials, with these figures; None for one that diverged."""
    given = {"space": space, "method": "random", "trials": len(scores), **search}
    parameters = Parameters.parse({"csv": "faces.csv", "train": {"epochs": 4}, "search": given}).dump()
    run_ids = open_run(client, PipelineRun("p", Owner("p"), parameters, "sha256:00", "c0ffee"), LOG)
    for run_id, score in zip(run_ids, scores, strict=True):
        if score is None:
            candidates.fail(client, run_id, "=1+1 the loss is not a number", "Diverged")
            continue
        figures = dict.fromkeys(names.BEST_VALIDATION.values(), score) | {"best_epoch": 3.0, "train_seconds": 2.0}
        client.log_batch(run_id, metrics=[Metric(name, value, 0, 0) for name, value in figures.items()])
        candidates.set_state(client, run_id, State.TRAINED)
        tree.close(client, run_id)
    return run_ids


def test_the_parent_shows_trials_pictures_and_the_best_one_as_a_config_that_runs(client: mlflow.MlflowClient):
    scores: list[float | None] = [0.30, 0.52, None, *[0.3 + number / 100 for number in range(21)]]
    run_ids = searched(client, scores, SPACES, finalists=2)
    client.set_tag(run_ids[3], names.REUSED_FROM, "0" * 32)  # it took no time here
    assert choose_finalists(client, run_ids, LOG) == [run_ids[1], run_ids[-1]]
    parent = tree.parent_of(client, run_ids[0])
    search = find_search(client, parent)
    assert search is not None
    show_search(client, parent, search, LOG)

    parent = client.get_run(parent.info.run_id)
    files = {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, FOLDER)}
    assert {"trials.csv", "best.yaml", "history.png", "parallel_coordinates_1.png", "importance_1.png"} <= files
    for name in files:
        if name.endswith(".png"):
            with Image.open(download_artifacts(f"runs:/{parent.info.run_id}/{FOLDER}/{name}")) as picture:
                colours = picture.convert("RGB").getcolors(1 << 24)
                assert colours is not None
                assert len(colours) > 50, name
    rows = list(csv.DictReader(io.StringIO(load_text(f"runs:/{parent.info.run_id}/{FOLDER}/trials.csv"))))
    assert [row["run_id"] for row in rows] == run_ids
    assert (rows[1]["val_macro_f1"], rows[2]["state"], rows[2]["failure"][:2]) == ("0.52", "failed", "'=")
    assert parent.data.metrics["search/failed"] == 1
    assert parent.data.metrics["search/train_seconds"] == 44
    assert client.get_run(search.run_id).info.status == "FINISHED"

    best = read_parameters(None, Path(f"runs:/{parent.info.run_id}/search/best.yaml"))
    assert not best.search.is_on
    assert best.train.epochs == 4
    [candidate] = best.candidates
    assert candidate["seeds"] == [1, 2, 3]
    assert float(candidate["learning_rate"]) == float(rows[1]["learning_rate"])

    # The best one is evaluated, as a finalist is: 7 of its 14 validation faces are called right.
    called = np.tile(np.eye(7, dtype=np.float32), (2, 1))
    called[7:] = np.roll(called[7:], 1, axis=1)
    scored = describe_split(Scores(np.tile(np.arange(7), 2), called), "", resamples=100, seed=0)
    client.log_text(run_ids[1], Evaluation(48, "", {"validation": scored}, []).to_json(), FILE)
    candidates.set_state(client, run_ids[1], State.EVALUATED)

    found = summary(mlflow.get_tracking_uri(), parent.info.run_id)
    console = Console(file=io.StringIO(), width=200)
    print_summary(found, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "24 trials in 44.0 s of training: 23 finished, 0 pruned, 1 failed" in text
    assert [trial["trial"] for trial in found.trials][:2] == [2, 24]
    low, high = scored.intervals["macro_f1"]
    assert low < 0.5 < high
    assert f"0.500 [{low:.3f}, {high:.3f}]" in text
    assert found.trials[1]["interval"] is None
    assert f"run --config runs:/{parent.info.run_id}/search/best.yaml" in text


def test_importance_of_a_few_trials_is_left_out_with_a_sentence(client: mlflow.MlflowClient):
    run_ids = searched(client, [0.1, 0.3, 0.2], SPACES[0])
    parent = tree.parent_of(client, run_ids[0])
    search = find_search(client, parent)
    assert search is not None
    show_search(client, parent, search, LOG)
    assert "3 trials finished, and it takes 10" in client.get_run(parent.info.run_id).data.tags[NOTE]


def test_a_search_of_which_no_trial_is_left_ends_with_their_reasons(client: mlflow.MlflowClient):
    run_ids = searched(client, [None] * 3, SPACES[0])
    with pytest.raises(UserError, match="none of 3 candidates could be trained: =1"):
        choose_finalists(client, run_ids, LOG)


def test_a_config_of_a_run_that_is_not_there_is_one_sentence(client: mlflow.MlflowClient):
    with pytest.raises(UserError, match=r"runs:/0{32}/search/best.yaml: not in this MLflow"):
        read_parameters(None, Path(f"runs:/{'0' * 32}/search/best.yaml"))
