"""An MLflow server that goes away, refuses, or loses its database: one sentence soon, or work that goes on.

A run of the whole pipeline on such a day is in test_team_server.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from between import DROP, FORWARD, Behaviour, Between, Request, answer
from click.testing import CliRunner
from mlflow.entities import Metric
from mlflow_server import mlflow_server
from postgres import PostgresServer, postgres_server

from components.open_run.resolve import resolve_candidates
from components.train.train import train_candidate
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import open_candidates
from ferkit.tracking.patience import FACTOR, OF_A_PERSON, OF_A_RUN, RETRIES
from ferkit.tracking.store import connect
from pipeline.cli import cli

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres_server(tmp_path_factory.mktemp("postgres")) as postgres:
        yield postgres


@pytest.fixture(scope="module")
def server(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder, postgres.store, str(folder / "artifacts")) as address:
        yield address


@pytest.fixture
def between(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """A proxy to the server. MLflow's client tries as often as in a run, without the waits, which are computed in
    tests/ferkit/tracking/test_patience.py.
    """
    for name, value in {**OF_A_RUN, FACTOR: "0", "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(OF_A_PERSON, FACTOR, "0")
    with Between(server) as between:
        yield between


VERBS = (
    ("runs",),
    ("show", "champion"),
    ("compare",),
    ("history",),
    ("gate", "1"),
    ("promote",),
    ("rollback",),
    ("repair",),
    ("predict", "nothing.png"),
    ("export", "--format", "onnx"),
    ("run",),
    ("search",),
    ("run", "--resume", "0" * 32),
)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
@pytest.mark.parametrize(
    ("behaviour", "told", "tries"),
    [
        (answer(401, b"You are not authenticated"), "refuses (", 1),
        (answer(403, b"Permission denied"), "refuses (", 1),
        (answer(500), "does not answer (HTTP status 500)", int(OF_A_PERSON[RETRIES]) + 1),
        (DROP, "does not answer (", int(OF_A_PERSON[RETRIES]) + 1),
    ],
    ids=["401", "403", "500", "gone"],
)
def test_a_command_says_in_one_sentence_what_mlflow_does_and_waits_for_it_once(
    between: Between,
    words: tuple[str, ...],
    behaviour: Behaviour,
    told: str,
    tries: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(RETRIES, OF_A_PERSON[RETRIES])
    monkeypatch.chdir(tmp_path)
    between.behave = lambda _: behaviour
    ended = CliRunner().invoke(cli, [*words, "--tracking-uri", between.address])
    assert ended.exit_code == 1, ended.output
    assert f"MLflow at {between.address} {told}" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert len(between.seen) == tries
    assert list(tmp_path.iterdir()) == []


def test_a_training_whose_mlflow_went_away_for_good_goes_on_at_the_next_try(
    between: Between, stripes_folder: Path, tmp_path: Path
) -> None:
    client = connect(between.address)
    parent = client.create_run(tree.experiment_id(client, "going-away"), tags={names.RUN_KIND: "pipeline"})
    sizes = {"architecture": "lenet", "filters": [8, 16], "dense": 16, "batch_size": 32, "epochs": 3}
    [run_id] = open_candidates(client, parent, resolve_candidates([sizes], {}, ()))
    gone: list[Request] = []

    def from_the_second_epoch_on(request: Request) -> Behaviour:
        if gone or (request.path.endswith("/log-batch") and b'"step": 2' in request.body):
            gone.append(request)
        return DROP if gone else FORWARD

    between.behave = from_the_second_epoch_on
    with pytest.raises(mlflow.MlflowException):
        train_candidate(client, run_id, stripes_folder, str(tmp_path), logging.getLogger("test"))
    # The epoch that could not be logged, and that the run is still open: nothing else is waited for.
    asked = {request.path.rpartition("/mlflow/")[2] for request in gone}
    assert asked == {"runs/log-batch", "runs/update"}
    between.behave = lambda _: FORWARD
    assert client.get_run(run_id).data.tags[names.STATE] == "running"
    assert [point.step for point in client.get_metric_history(run_id, "train/loss")] == [1]
    train_candidate(client, run_id, stripes_folder, str(tmp_path), logging.getLogger("test"))
    for name in ("train/loss", "val/macro_f1"):
        assert [point.step for point in client.get_metric_history(run_id, name)] == [1, 2, 3]
    assert (client.get_run(run_id).data.tags[names.STATE], client.get_run(run_id).info.status) == (
        "trained",
        "FINISHED",
    )
    assert len(client.search_logged_models([parent.info.experiment_id])) == 1


def test_a_restarted_postgresql_is_bridged(between: Between, postgres: PostgresServer) -> None:
    client = connect(between.address)
    run_id = client.create_run(tree.experiment_id(client, "restarted")).info.run_id
    postgres.stop()
    tries: list[Request] = []

    def back_at_the_second_try(request: Request) -> Behaviour:
        tries.append(request)
        if len(tries) == 2:
            postgres.start()
        return FORWARD

    between.behave = back_at_the_second_try
    client.log_batch(run_id, metrics=[Metric("loss", 0.5, 1, 1)])
    assert len(tries) > 1
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == [1]
