"""A search's trials, trained; MLflow is asked what was decided, and what came of it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Metric, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from search_until_killed import run_search

from components.finalists.finalists import choose_finalists
from components.open_run.open_run import PipelineRun, open_run
from components.train.train import train_candidate
from ferkit.search.pruning import EQUAL, Pruner
from ferkit.search.record import decisions
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NUMBER
from ferkit.tracking.names import State
from ferkit.tracking.owner import Owner
from ferkit.training.settings import Train
from ferkit.training.state import FolderStore
from ferkit.training.state import State as TrainingState
from pipeline.parameters import Parameters

LOG = logging.getLogger("test")
RUNNER = Path(__file__).with_name("search_until_killed.py")
DECIDER = Path(__file__).with_name("decide_at_once.py")

TINY: dict[str, Any] = {"architecture": "lenet", "filters": [[4]], "dense": 4, "batch_size": 32, "epochs": 1}
RATES = {"learning_rate": {"low": 1e-4, "high": 0.1, "log": True}, "dropout": [0.1, 0.3]}


def parameters(space: Any, **search: Any) -> dict[str, Any]:
    return Parameters.parse({"csv": "faces.csv", "search": {"space": space, **search}}).dump()


def opened(client: mlflow.MlflowClient, name: str, space: Any, **search: Any) -> list[str]:
    """The run ids of a search's trials, none of them trained; `name` is the owner's."""
    asked = PipelineRun(name, Owner(name), parameters(space, **search), "sha256:00", "c0ffee")
    return open_run(client, asked, LOG)


def record_of(client: mlflow.MlflowClient, run_id: str) -> Run:
    return client.get_run(client.get_run(run_id).data.tags[names.SEARCH_RUN])


def trials_of(client: mlflow.MlflowClient, parent_run_id: str) -> list[Run]:
    children = tree.children(client, client.get_run(parent_run_id))
    return sorted(children, key=lambda run: int(run.data.tags[NUMBER]))


def values_of(run: Run) -> tuple[str, str, str]:
    return run.data.params["learning_rate"], run.data.params["dropout"], str(run.info.run_name)


def state_of(run: Run) -> tuple[str, str]:
    return run.data.tags[names.STATE], run.info.status


def finish_far_ahead(client: mlflow.MlflowClient, run_ids: list[str]) -> None:
    """Makes trials of 3 epochs trained ones, with a score that no training of `TINY` reaches."""
    settings = {"epochs": 3, "schedule": "cosine", "warmup_ratio": 0.05, "batch_size": 32}
    for run_id in run_ids:
        for name, value in settings.items():
            client.log_param(run_id, name, value)
        client.log_batch(run_id, metrics=[Metric("val/macro_f1", 0.9, 0, epoch) for epoch in (1, 2, 3)])
        client.log_metric(run_id, names.BEST_MACRO_F1, 0.9)
        client.set_tag(run_id, names.STATE, State.TRAINED)


@pytest.mark.slow
def test_killed_and_resumed_a_search_runs_only_the_rest_and_ends_with_the_same_trials(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path
):
    """SIGKILL within the sixth of twelve trials; then the same search in one go."""
    asked = {
        "tracking_uri": mlflow.get_tracking_uri(),
        "folder": str(folder),
        "owners": str(tmp_path),
        "parent_run_id": "",
        "hang_at": 6,
        "parameters": parameters({**TINY, **RATES, "epochs": 3}, trials=12, seed=5),
    }
    killed = subprocess.Popen([sys.executable, str(RUNNER), json.dumps(asked)])
    try:
        while not (tmp_path / "hangs").exists():
            assert killed.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
    finally:
        killed.kill()
    assert killed.wait() != 0
    experiment_id = tree.experiment_id(client, names.EXPERIMENT)
    [parent] = client.search_runs([experiment_id], f"tags.`{names.RUN_KIND}` = 'pipeline' AND status = 'RUNNING'")
    before = trials_of(client, parent.info.run_id)
    assert [state_of(run)[0] for run in before] == [State.TRAINED] * 5 + [State.RUNNING] + [State.WAITING] * 6
    sixth = before[5].info.run_name

    resumed_ids = run_search(asked | {"parent_run_id": parent.info.run_id, "hang_at": 0})
    unbroken_ids = run_search(asked | {"hang_at": 0})
    resumed, unbroken = ([client.get_run(run_id) for run_id in ids] for ids in (resumed_ids, unbroken_ids))
    assert resumed_ids == [run.info.run_id for run in before]
    assert resumed[5].info.run_name == sixth  # what it was decided to be
    assert [values_of(run) for run in resumed] == [values_of(run) for run in unbroken]
    assert len({values_of(run)[:2] for run in unbroken}) == 12
    assert [state_of(run) for run in resumed] == [state_of(run) for run in unbroken]
    assert {state_of(run) for run in unbroken[:5]} == {(State.TRAINED, "FINISHED")}
    # Which of the later ones are pruned hangs on the processor's arithmetic; that they are the same ones does not.
    assert {state_of(run)[0] for run in unbroken[5:]} <= {State.TRAINED, State.PRUNED}
    figures = [[run.data.metrics.get(names.BEST_MACRO_F1) for run in runs] for runs in (resumed, unbroken)]
    assert figures[0] == figures[1]
    for now, then in zip(resumed[:5], before[:5], strict=True):  # they were left alone
        assert now.info.end_time == then.info.end_time
    assert [one.trial for one in decisions(record_of(client, resumed_ids[0]))] == list(range(12))


@pytest.mark.slow
def test_trials_that_start_at_once_never_take_the_same_values(client: mlflow.MlflowClient):
    """Three processes decide on all eighteen points of a space, whose values are categories but for one."""
    space = {
        "architecture": "lenet",
        "random_affine": [True, False],
        "dropout": [0.1, 0.2, 0.3],
        "depth": {"low": 1, "high": 3},
    }
    run_ids = opened(client, "at once", space, trials=30)
    assert len(run_ids) == 18
    processes = [
        subprocess.Popen([sys.executable, str(DECIDER), mlflow.get_tracking_uri(), *run_ids[start::3]])
        for start in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    runs = [client.get_run(run_id) for run_id in run_ids]
    taken = Counter(tuple(run.data.params[name] for name in ("random_affine", "dropout", "depth")) for run in runs)
    assert len(taken) == 18
    made = decisions(record_of(client, run_ids[0]))
    assert sorted(one.trial for one in made) == list(range(18))
    assert len({run.data.tags[names.CANDIDATE_ID] for run in runs}) == 18


def test_a_trial_that_fails_for_a_reason_of_its_own_ends_alone(
    client: mlflow.MlflowClient, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    run_ids = opened(client, "failing", {**TINY, **RATES}, trials=4, finalists=2)
    from ferkit.training import fit as module

    whole, started = module.fit, []

    def failing_once(*given: Any, **settings: Any) -> Any:
        started.append(1)
        if len(started) == 2:
            raise ValueError("no such kernel")
        return whole(*given, **settings)

    monkeypatch.setattr(module, "fit", failing_once)
    for run_id in run_ids:
        train_candidate(client, run_id, folder, "", LOG)
    runs = [client.get_run(run_id) for run_id in run_ids]
    assert [state_of(run) for run in runs] == [
        (State.TRAINED, "FINISHED"),
        (State.FAILED, "FAILED"),
        *[(State.TRAINED, "FINISHED")] * 2,
    ]
    assert runs[1].data.tags[names.FAILURE] == f"{runs[1].info.run_name}: ValueError: no such kernel"
    finalists = choose_finalists(client, run_ids, LOG)
    scores = {run.info.run_id: run.data.metrics.get(names.BEST_MACRO_F1, -1) for run in runs}
    assert finalists == sorted(run_ids, key=lambda run_id: -scores[run_id])[:2]


def test_a_trial_in_the_worst_quarter_is_given_up_and_finished(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path
):
    """Five siblings have finished with figures that no training of one epoch reaches."""
    space = {**TINY, "epochs": 3, "learning_rate": {"low": 1e-6, "high": 2e-6}}
    run_ids = opened(client, "pruning", space, trials=6)
    other = opened(client, "pruning others", {**space, "batch_size": 16}, trials=1)
    finish_far_ahead(client, run_ids[:5])
    train_candidate(client, run_ids[5], folder, str(tmp_path), LOG)
    pruned = client.get_run(run_ids[5])
    assert state_of(pruned) == (State.PRUNED, "FINISHED")
    assert pruned.data.metrics[names.PRUNED_EPOCH] == 1
    assert [point.step for point in client.get_metric_history(run_ids[5], "val/macro_f1")] == [1]
    assert names.BEST_MACRO_F1 not in pruned.data.metrics
    train_candidate(client, run_ids[5], folder, str(tmp_path), LOG)  # a retry leaves it alone
    assert [point.step for point in client.get_metric_history(run_ids[5], "val/macro_f1")] == [1]
    train_candidate(client, other[0], folder, str(tmp_path), LOG)
    assert state_of(client.get_run(other[0])) == (State.TRAINED, "FINISHED")  # none to hold it against


def test_what_a_trial_trained_before_it_was_killed_is_kept_and_counts(
    client: mlflow.MlflowClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Killed after its last epoch, before its model was logged; five others have finished when it is tried again."""
    from ferkit.training import fit as module

    space = {**TINY, "epochs": 3, "learning_rate": {"low": 1e-6, "high": 2e-6}}
    run_ids = opened(client, "killed at its end", space, trials=6)
    finish_far_ahead(client, run_ids[:5])
    epoch = {"epoch_seconds": 5000.0, "images_per_second": 1.0} | dict.fromkeys(
        ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/macro_f1"), 0.1
    )
    history = [epoch] * 3
    parent = client.get_run(run_ids[5]).data.tags[MLFLOW_PARENT_RUN_ID]
    FolderStore(tmp_path / parent / run_ids[5]).save(TrainingState(history=history))
    network: Any = None
    monkeypatch.setattr(module, "fit", lambda *_, **__: module.Trained(network, history, 1))
    seconds: list[float] = []
    monkeypatch.setattr("components.train.train.log_results", lambda *given: seconds.append(given[-1]))
    train_candidate(client, run_ids[5], folder, str(tmp_path), LOG)
    assert state_of(client.get_run(run_ids[5])) == (State.TRAINED, "FINISHED")
    assert seconds[0] >= 15_000


def test_mlflow_is_asked_for_the_comparable_trials_alone(client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch):
    """Every epoch asks. Of two sizes of batch, three trials each: all of the first have finished, one of the second."""
    space = {**TINY, "epochs": 3, "batch_size": [16, 32], "dropout": [0.1, 0.2, 0.3]}
    run_ids = opened(client, "comparing", space, trials=6, method="grid")
    other = opened(client, "comparing others", {**space, "batch_size": 32, "dropout": 0.1}, trials=1, method="grid")
    for run_id in [*run_ids[:4], *other]:
        client.set_tag(run_id, names.STATE, State.TRAINED)
    pruner = Pruner(client, client.get_run(run_ids[5]))
    found: list[str] = []
    search_runs = client.search_runs

    def searching(*given: Any, **settings: Any) -> Any:
        page = search_runs(*given, **settings)
        found.extend(run.info.run_id for run in page)
        return page

    monkeypatch.setattr(client, "search_runs", searching)
    pruner.watch(1, 0.5)
    assert found == [run_ids[3]]


def test_what_trials_must_share_is_named_as_training_names_it():
    assert set(EQUAL) <= set(Train.names())
