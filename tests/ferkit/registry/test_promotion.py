"""What promote and rollback do, refuse and write down."""

from __future__ import annotations

import mlflow
import pytest
from promotable import AddVersion

from ferkit.errors import UserError
from ferkit.registry.ledger import Entry, Ledger
from ferkit.registry.promotion import line_of_champions, promote, roll_back
from ferkit.registry.state import read_state, reconcile
from ferkit.registry.verdict import NOT_GATED, REJECTED
from ferkit.tracking import names


def champion(client: mlflow.MlflowClient) -> str:
    return str(client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version)


def has_challenger(client: mlflow.MlflowClient) -> bool:
    return names.CHALLENGER in client.get_registered_model(names.REGISTERED_MODEL).aliases


def test_promote_without_a_version_takes_the_challenger(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    add_version()
    challenger = add_version(challenger=True)
    outcome = promote(client, by="ann")
    assert outcome.changed
    assert champion(client) == challenger
    assert not has_challenger(client)


def test_a_promotion_says_who_when_what_from_and_instead_of_whom(
    client: mlflow.MlflowClient, add_version: AddVersion
) -> None:
    first = add_version()
    promote(client, first, by="ann")
    second = add_version(compared_with=first)
    promote(client, second, by="bob", reason="new camera")
    version = client.get_model_version(names.REGISTERED_MODEL, second)
    tags = version.tags
    assert tags["promoted_by"] == "bob"
    assert tags["promoted_from"] == client.get_run(version.run_id).data.tags["mlflow.parentRunId"]
    assert tags["previous_champion"] == first
    entry = reconcile(client).entries[-1]
    assert (entry.by, entry.at, entry.pipeline_run) == ("bob", tags["promoted_at"], tags["promoted_from"])
    assert entry.reason == "new camera"
    assert entry.at.endswith("Z")
    assert len(entry.at) == len("2026-11-21T03:46:09Z")


def test_the_name_comes_from_the_environment(
    client: mlflow.MlflowClient, add_version: AddVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERPIPE_USER", "release-bot")
    outcome = promote(client, add_version())
    assert outcome.entry is not None
    assert outcome.entry.by == "release-bot"


def test_promoting_the_champion_again_does_nothing(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    version = add_version(challenger=True)
    promote(client)
    for again in (promote(client, version), promote(client)):
        assert not again.changed
        assert f"version {version} is the champion already" in again.sentence
    assert len(reconcile(client).entries) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [(REJECTED, "recall of disgust 0.055 is below the floor of 0.15"), (NOT_GATED, "`ferpipe gate 1`")],
)
def test_a_version_that_is_not_approved_is_refused(
    client: mlflow.MlflowClient, add_version: AddVersion, status: str, expected: str
) -> None:
    version = add_version(status=status)
    with pytest.raises(UserError, match=expected):
        promote(client, version)
    assert reconcile(client).champion is None


def test_without_a_challenger_the_last_verdict_says_why(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    add_version(status=REJECTED)
    add_version(status=NOT_GATED)
    with pytest.raises(UserError, match="version 1 was rejected"):
        promote(client)


def test_an_approval_against_an_earlier_champion_is_stale(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    first, second = add_version(), add_version(challenger=True)
    promote(client, first)
    assert not has_challenger(client)  # it was judged against no champion
    told = r"approved against no champion, but the champion is version 1 now.*`ferpipe gate 2`"
    with pytest.raises(UserError, match=told):
        promote(client, second)


def test_a_challenger_judged_against_todays_champion_stays(
    client: mlflow.MlflowClient, add_version: AddVersion
) -> None:
    first = add_version()
    promote(client, first)
    second = add_version(compared_with=first, challenger=True)
    assert reconcile(client).challenger == second
    assert has_challenger(client)


def test_force_overrules_the_gate_and_is_written_down(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    version = add_version(status=REJECTED)
    with pytest.raises(UserError, match="--reason"):
        promote(client, version, force=True)
    promote(client, version, force=True, reason="the old one is broken")
    entry = reconcile(client).entries[-1]
    assert (entry.forced, entry.reason) == (True, "the old one is broken")


def test_a_dry_run_changes_nothing(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    version = add_version(challenger=True)
    outcome = promote(client, dry_run=True)
    assert (outcome.champion, outcome.changed) == (version, False)
    assert reconcile(client).champion is None
    promote(client)
    promote(client, add_version(compared_with=version))
    assert roll_back(client, dry_run=True).champion == version
    assert champion(client) == "2"


def test_rollback_goes_back_one_champion_at_a_time(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    for before in ("none", "1", "2"):
        promote(client, add_version(compared_with=before))
    assert roll_back(client, by="ann", reason="slow").sentence == "version 2 is champion again instead of version 3"
    assert champion(client) == "2"
    assert client.get_model_version(names.REGISTERED_MODEL, "2").tags["promoted_by"] == "ann"
    roll_back(client)
    assert champion(client) == "1"
    with pytest.raises(UserError, match="version 1 is the first champion"):
        roll_back(client)
    assert [entry.action for entry in reconcile(client).entries] == ["promote"] * 3 + ["rollback"] * 2


def test_rollback_passes_over_versions_that_were_deleted(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    for before in ("none", "1", "2"):
        promote(client, add_version(compared_with=before))
    client.delete_model_version(names.REGISTERED_MODEL, "2")
    assert roll_back(client).champion == "1"
    assert champion(client) == "1"


def test_rollback_from_a_champion_that_was_deleted(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    for before in ("none", "1"):
        promote(client, add_version(compared_with=before))
    client.delete_model_version(names.REGISTERED_MODEL, "2")
    assert reconcile(client).champion == "2"
    assert roll_back(client).champion == "1"
    assert champion(client) == "1"


def test_rollback_before_any_promotion_is_refused(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    add_version()
    with pytest.raises(UserError, match="no champion yet"):
        roll_back(client)


def test_a_champion_from_before_the_ledger_counts(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    old = add_version()
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, old)
    assert reconcile(client).champion == old
    promote(client, add_version(compared_with=old))
    assert roll_back(client).champion == old


def test_an_alias_moved_by_hand_is_put_back(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    first, second = add_version(), add_version()
    promote(client, first, by="ann")
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, second)
    (sentence,) = reconcile(client).notes
    assert sentence.startswith("alias champion was at version 2; set to version 1, champion since promotion 1 by ann")
    client.delete_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION)
    (sentence,) = reconcile(client).notes
    assert sentence.startswith("alias champion was unset")
    assert champion(client) == first


def test_a_look_says_what_lags_behind_and_writes_nothing(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    first, second = add_version(), add_version()
    promote(client, first, by="ann")
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, second)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHALLENGER, second)  # judged against no champion
    client.delete_model_version_tag(names.REGISTERED_MODEL, first, "promoted_by")
    alias, stale = read_state(client).notes
    assert alias.startswith("alias champion is at version 2, but version 1 is champion since promotion 1 by ann")
    assert stale.startswith("challenger version 2 was not judged against today's champion; `ferpipe repair`")
    assert (read_state(client).champion, read_state(client).challenger) == (first, None)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, first)
    assert "the tags of version 1, champion since promotion 1 by ann" in read_state(client).notes[0]
    assert champion(client) == first
    assert has_challenger(client)
    assert len(reconcile(client).notes) == 2
    assert read_state(client).notes == ()


def test_an_entry_cannot_be_written_over(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    promote(client, add_version(), by="ann")
    forged = Entry(1, "promote", "9", "", "eve", "2026-01-01T00:00:00Z")
    assert Ledger(client).claim(forged).by == "ann"
    assert [entry.by for entry in reconcile(client).entries] == ["ann"]


def test_a_deleted_ledger_is_said_with_the_cure(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    promote(client, add_version())
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    assert experiment is not None
    (ledger,) = client.search_runs([experiment.experiment_id], f"tags.`{names.RUN_KIND}` = 'ledger'")
    client.delete_run(ledger.info.run_id)
    with pytest.raises(UserError, match="mlflow runs restore --run-id"):
        promote(client, add_version(compared_with="1"))
    client.restore_run(ledger.info.run_id)
    assert promote(client, "2").changed


def test_no_such_version_and_nothing_registered(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    with pytest.raises(UserError, match="no model facial-expression is registered"):
        promote(client)
    add_version()
    for unknown in ("7", "best"):
        with pytest.raises(UserError, match=f"no version '{unknown}'; newest: 1"):
            promote(client, unknown)


def test_a_reason_too_long_for_the_record_is_refused(client: mlflow.MlflowClient, add_version: AddVersion) -> None:
    with pytest.raises(UserError, match="at most 2000 characters"):
        promote(client, add_version(), reason="x" * 2001)


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([], []),
        ([("promote", "1", "")], ["1"]),
        ([("promote", "2", "1")], ["1", "2"]),
        ([("promote", "1", ""), ("promote", "2", "1"), ("rollback", "1", "2"), ("promote", "3", "1")], ["1", "3"]),
        ([("promote", "1", ""), ("promote", "2", "1"), ("promote", "1", "2"), ("rollback", "2", "1")], ["1", "2"]),
        ([("promote", "1", ""), ("promote", "2", "1"), ("promote", "3", "2"), ("rollback", "1", "3")], ["1"]),
    ],
)
def test_the_line_of_champions(actions: list, expected: list[str]) -> None:
    entries = [Entry(number, *action, by="ann", at="") for number, action in enumerate(actions, 1)]
    assert line_of_champions(entries) == expected
