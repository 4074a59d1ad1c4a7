"""A team's MLflow server, as images/compose.yaml starts it: who may look, who may train, who may promote."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import boto3
import mlflow
import pytest
import requests
from between import DROP, FORWARD, LOSE_THE_ANSWER, Behaviour, Between, Request, late
from mlflow.artifacts import download_artifacts
from postgres import install
from team import PASSWORDS, Team, environment_of, team_of_three

from ferkit.registry.ledger import Ledger
from ferkit.registry.state import reconcile
from ferkit.tracking import names
from ferkit.tracking.doubled import DOUBLED
from tests.small_run import one_small_network

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

REJECTED = {names.VALIDATION_STATUS: "rejected"}


class BadDay:
    """Of a server: it is gone for 20 seconds in the midst of training, it is slow, and its replies to what makes
    something are lost every other time, the first one included.
    """

    MAKES = ("/runs/create", "/registered-models/create", "/model-versions/create", "/logged-models", "/runs/update")

    def __init__(self) -> None:
        self._made: Counter[str] = Counter()
        self._back = 0.0

    def __call__(self, request: Request) -> Behaviour:
        if request.path.endswith("/log-batch") and b"train/loss" in request.body and not self._back:
            self._back = time.monotonic() + 20
        if time.monotonic() < self._back:
            return DROP
        if request.path.endswith(self.MAKES) and request.method == "POST":
            self._made[request.path] += 1
            return LOSE_THE_ANSWER if self._made[request.path] % 2 else FORWARD
        return late(2) if request.path.endswith("/experiments/get-by-name") else FORWARD


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with team_of_three(tmp_path_factory.mktemp("team")) as team:
        yield team


@pytest.fixture(scope="module")
def trained(team: Team, sample_csv: Path) -> Team:
    """The server after a trainer's run of the whole pipeline, on a bad day."""
    config = team.folder / "config.yaml"
    config.write_text(one_small_network(epochs=2))
    with Between(team.address, BadDay()) as between:
        done = team.command("theo", "run", "--csv", str(sample_csv), "--config", str(config), through=between.address)
    assert done.returncode == 0, done.stdout + done.stderr
    return team


@pytest.fixture
def client(trained: Team, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """The administrator's."""
    for name, value in environment_of("admin", trained.address).items():
        monkeypatch.setenv(name, value)
    return mlflow.MlflowClient(trained.address, trained.address)


def test_nothing_of_a_run_on_a_bad_day_is_lost_or_doubled(trained: Team, client: mlflow.MlflowClient) -> None:
    """A trainer may delete nothing: what a lost reply doubled is taken out of the tree, and says what it is."""
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id])
    used = [run for run in runs if run.data.tags.get(names.FAILURE) != DOUBLED]
    assert {(run.data.tags[names.RUN_KIND], run.info.status) for run in used} == {
        ("pipeline", "FINISHED"),
        ("candidate", "FINISHED"),
    }
    assert len(used) == 2
    doubled = [run for run in runs if run not in used]
    assert [(run.info.status, names.RUN_KIND in run.data.tags) for run in doubled] == [("KILLED", False)] * 2
    [candidate] = [run for run in used if run.data.tags[names.RUN_KIND] == "candidate"]
    assert candidate.data.tags[names.STATE] == "evaluated"
    for name in ("train/loss", "val/macro_f1", "learning_rate"):
        assert [point.step for point in client.get_metric_history(candidate.info.run_id, name)] == [1, 2]
    models = client.search_logged_models([experiment.experiment_id])
    assert sorted(model.status for model in models) == ["FAILED", "READY"]
    versions = client.search_model_versions(f"name = '{names.REGISTERED_MODEL}'")
    assert {str(version.version): version.description == DOUBLED for version in versions} == {"1": False, "2": True}


def test_a_reader_compares_and_reads_the_record(trained: Team) -> None:
    [row] = json.loads(trained.ferpipe("rita", "compare", "--json").stdout)
    assert (row["version"], row["verdict"]) == ("1", "approved")
    assert "nothing was promoted yet" in trained.ferpipe("rita", "history").stdout
    assert trained.ferpipe("rita", "promote", "--dry-run").stdout == "dry run: version 1 is champion, the first one\n"


@pytest.mark.parametrize(
    ("user", "missing"),
    [
        ("rita", "MANAGE on the registered model facial-expression and EDIT on the experiment facial-expression"),
        ("theo", "MANAGE on the registered model facial-expression"),
    ],
)
@pytest.mark.parametrize("words", [("promote",), ("promote", "1", "--force", "--reason", "mine"), ("rollback",)])
def test_who_may_not_promote_is_told_whose_right_it_takes(
    trained: Team, client: mlflow.MlflowClient, user: str, missing: str, words: tuple[str, ...]
) -> None:
    refused = trained.ferpipe(user, *words)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"Error: {user} may not promote on {trained.address}: that takes {missing}; ")
    assert refused.stderr.count("\n") == 1
    assert Ledger(client).entries() == []


def test_a_promoter_promotes_under_the_name_that_the_server_knows(trained: Team, client: mlflow.MlflowClient) -> None:
    promoted = json.loads(trained.command("petra", "promote", "--json").stdout)
    assert (promoted["champion"], promoted["changed"], promoted["entry"]["by"]) == ("1", True, "petra")
    [entry] = json.loads(trained.ferpipe("rita", "history", "--json").stdout)
    assert (entry["version"], entry["by"]) == ("1", "petra")
    [row] = json.loads(trained.ferpipe("rita", "compare", "--json").stdout)
    assert row["alias"] == "champion"
    assert names.CHALLENGER not in client.get_registered_model(names.REGISTERED_MODEL).aliases


def test_a_reader_is_told_of_an_alias_that_was_moved_by_hand_and_moves_nothing(
    trained: Team, client: mlflow.MlflowClient
) -> None:
    trained.ferpipe("petra", "promote")
    other = client.create_model_version(names.REGISTERED_MODEL, "s3://nowhere/model", tags=REJECTED)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, str(other.version))
    told = trained.ferpipe("rita", "history")
    assert told.exit_code == 0
    assert f"alias champion is at version {other.version}, but version 1 is champion" in told.stderr
    assert "`ferpipe repair` puts that right" in told.stderr
    assert trained.ferpipe("rita", "repair").stderr.startswith("Error: rita may not promote on ")
    assert str(client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version) == str(other.version)
    assert "set to version 1" in trained.ferpipe("petra", "repair").stdout
    assert str(client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version) == "1"


def test_a_challenger_that_a_trainer_may_not_take_down_does_not_fail_the_training(
    trained: Team, client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = client.create_model_version(names.REGISTERED_MODEL, "s3://nowhere/model", tags=REJECTED)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHALLENGER, str(stale.version))
    for name, value in environment_of("theo", trained.address).items():
        monkeypatch.setenv(name, value)
    state = reconcile(client)
    assert state.challenger is None
    assert any("for want of the right to delete it" in note for note in state.notes)
    assert "alias taken down" in trained.ferpipe("petra", "repair").stdout


def test_a_wrong_password_and_none_are_refused(trained: Team) -> None:
    runs = f"{trained.address}/api/2.0/mlflow/experiments/search?max_results=1"
    assert requests.get(runs, timeout=30).status_code == 401
    assert requests.get(runs, auth=("rita", "wrong"), timeout=30).status_code == 401
    assert requests.get(runs, auth=("rita", PASSWORDS["rita"]), timeout=30).status_code == 200


def test_a_host_that_is_not_allowed_is_refused(trained: Team) -> None:
    experiments = f"{trained.address}/api/2.0/mlflow/experiments/search?max_results=1"
    rita = {"auth": ("rita", PASSWORDS["rita"]), "timeout": 30}
    refused = requests.get(experiments, headers={"Host": "rebound.example"}, **rita)
    assert refused.status_code == 403
    assert "DNS rebinding" in refused.text
    assert requests.get(experiments, **rita).status_code == 200


def test_another_role_replaces_the_first_and_the_password_stays(trained: Team) -> None:
    assert trained.add_user("rita", "promoter") == "rita is promoter now; the account was there, its password stays"
    assert trained.ferpipe("rita", "repair").exit_code == 0
    assert trained.add_user("rita", "reader").startswith("rita is reader now")
    assert trained.ferpipe("rita", "repair").exit_code == 1


def test_a_dump_restores_runs_and_accounts_into_an_empty_database(trained: Team, tmp_path: Path) -> None:
    programs, environment = install(), {**os.environ, **trained.container}

    def run(program: str, *words: str, database: str = "") -> str:
        there = {**environment, "PGDATABASE": database} if database else environment
        return subprocess.run(
            [programs / program, *words], check=True, capture_output=True, text=True, env=there
        ).stdout

    run("pg_dump", "--format=custom", f"--file={tmp_path / 'mlflow.dump'}")
    run("psql", "--command=CREATE DATABASE restored")
    run("pg_restore", "--dbname=restored", "--clean", "--if-exists", str(tmp_path / "mlflow.dump"))
    for table in ("runs", "params", "metrics", "logged_models", "model_versions", "registered_model_aliases", "users"):
        rows = f"--command=SELECT * FROM {table} ORDER BY 1, 2"
        before, after = run("psql", rows), run("psql", rows, database="restored")
        assert before == after
        assert "(0 rows)" not in after


def test_garbage_is_collected_but_for_what_versions_and_the_record_need(
    trained: Team, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    trained.ferpipe("petra", "promote")
    version = client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION)
    candidate = client.get_run(version.run_id)
    recorded = trained.ferpipe("rita", "history", "--json").stdout
    ledger = client.get_experiment_by_name("facial-expression promotions").tags["ledger.run_id"]
    garbage = client.create_run(candidate.info.experiment_id)
    client.log_text(garbage.info.run_id, "seven", "deep/text.txt")
    for run_id in (version.run_id, candidate.data.tags["mlflow.parentRunId"], ledger, garbage.info.run_id):
        client.delete_run(run_id)
    done = trained.administer("collect_garbage.py", "--older-than", "0s", "--server", trained.address)
    assert done.returncode == 0, done.stderr
    assert f"restored {version.run_id}: the run of facial-expression version " in done.stdout
    assert f"restored {ledger}: the record of promotions" in done.stdout
    with pytest.raises(mlflow.MlflowException, match="not found"):
        client.get_run(garbage.info.run_id)
    there = trained.container
    keys = {"aws_access_key_id": there["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": there["AWS_SECRET_ACCESS_KEY"]}
    bucket = boto3.client("s3", endpoint_url=there["AWS_ENDPOINT_URL"], region_name="us-east-1", **keys)
    left = [item["Key"] for item in bucket.list_objects_v2(Bucket="mlflow")["Contents"]]
    assert not [key for key in left if garbage.info.run_id in key]
    assert [key for key in left if version.run_id in key]
    assert trained.ferpipe("rita", "history", "--json").stdout == recorded
    assert trained.ferpipe("rita", "compare", version.run_id, "--json").exit_code == 0
    champion = f"models:/{names.REGISTERED_MODEL}@{names.CHAMPION}"
    download_artifacts(champion, dst_path=str(tmp_path), tracking_uri=trained.address)
    assert (tmp_path / "MLmodel").exists()
