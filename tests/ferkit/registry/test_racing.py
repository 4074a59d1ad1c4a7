"""Promotions that happen at once, in processes of their own, on SQLite and on a real MLflow server with PostgreSQL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow_server import mlflow_server
from postgres import postgres_server
from promotable import add_version_to

from ferkit.registry.promotion import promote
from ferkit.registry.state import reconcile
from ferkit.registry.verdict import APPROVED, NO_CHAMPION
from ferkit.tracking import names
from ferkit.tracking.store import connect

HERE = Path(__file__).parent
RACERS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server, on PostgreSQL: behind one on SQLite, twenty writers that wait for one lock hold
    all of the server's fifteen connections.
    """
    folder = tmp_path_factory.mktemp("server")
    with postgres_server(folder) as postgres, mlflow_server(folder, postgres.store, str(folder / "files")) as address:
        yield address


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.services)])
def address(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("tracking_uri" if request.param == "sqlite" else "server")


def race(address: str, kind: str, versions: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Promotes all at once; `{"won": [(version, sentence)], "lost": [...]}`."""
    done = subprocess.run(
        [sys.executable, str(HERE / "racing.py"), address, kind, *versions],
        check=True, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    told: dict[str, list[tuple[str, str]]] = {"won": [], "lost": []}
    for version, how, sentence in json.loads(done.stdout.splitlines()[-1]):
        assert how in told, f"{sentence}\n{done.stderr[-3000:]}"
        told[how].append((version, sentence))
    return told


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["claim", "start"])
def test_of_twenty_promotions_at_once_one_wins_and_nineteen_are_told(address: str, kind: str) -> None:
    client = connect(address)
    before = len(reconcile(client).entries) if client.search_registered_models() else 0
    state = reconcile(client).compared_with if before else NO_CHAMPION
    versions = [add_version_to(client, state, APPROVED) for _ in range(RACERS)]

    told = race(address, kind, versions)

    ((winner, _),) = told["won"]
    assert len(told["lost"]) == RACERS - 1
    for version, sentence in told["lost"]:
        assert f"`ferpipe gate {version}`" in sentence
        assert f"version {winner}" in sentence
    assert {
        str(number) for number in [client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version]
    } == {winner}
    entries = reconcile(client).entries
    assert [entry.number for entry in entries] == list(range(1, before + 2))
    assert (entries[-1].version, entries[-1].by) == (winner, f"racer-{winner}")
    tagged = [v for v in versions if "promoted_by" in client.get_model_version(names.REGISTERED_MODEL, v).tags]
    assert tagged == [winner]


def test_two_first_promotions_make_one_ledger(client: mlflow.MlflowClient, tracking_uri: str) -> None:
    versions = [add_version_to(client, NO_CHAMPION, APPROVED) for _ in range(4)]
    race(tracking_uri, "claim", versions)
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    assert experiment is not None
    ledgers = client.search_runs([experiment.experiment_id], f"tags.`{names.RUN_KIND}` = 'ledger'")
    assert len(ledgers) == 1


KILLED = """
import os, signal, sys
import mlflow
from ferkit.registry.promotion import promote
from ferkit.tracking.store import connect

client = connect(sys.argv[1])
setattr(mlflow.MlflowClient, sys.argv[3], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
promote(client, sys.argv[2], by="ann")
"""


@pytest.mark.parametrize("before", ["set_registered_model_alias", "set_model_version_tag"])
def test_a_promotion_killed_after_its_entry_is_completed_by_the_next_command(
    client: mlflow.MlflowClient, tracking_uri: str, before: str
) -> None:
    first, second = (add_version_to(client, compared_with, APPROVED) for compared_with in (NO_CHAMPION, "1"))
    promote(client, first, by="ann")
    killed = subprocess.run([sys.executable, "-c", KILLED, tracking_uri, second, before], check=False)
    assert killed.returncode == -signal.SIGKILL
    behind = client.get_model_version(names.REGISTERED_MODEL, second).tags
    assert "promoted_by" not in behind

    state = reconcile(client)

    assert state.champion == second
    assert len(state.notes) == 1
    assert client.get_registered_model(names.REGISTERED_MODEL).aliases[names.CHAMPION] in (second, int(second))
    tags = client.get_model_version(names.REGISTERED_MODEL, second).tags
    assert (tags["promoted_by"], tags["previous_champion"]) == ("ann", first)
    assert reconcile(client).notes == ()
