"""`ferpipe ensemble`: of models that exist, across pipeline runs; what is refused leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluated import Evaluated

from components.ensemble.parameters import Ensemble
from components.evaluate.evaluate import evaluate_candidate
from components.register.register import register_candidates
from ferkit.data import read_profile
from ferkit.errors import UserError
from ferkit.registry import versions
from ferkit.registry.data import DATA_URI
from ferkit.registry.settings import Register
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import state_of
from ferkit.tracking.names import State
from ferkit.tracking.owner import Owner, claim, holds_lock, owner_of
from pipeline.ensemble import find_members, join_models

POLICY = Register(floor_macro_f1=0, floor_recall=0, resamples=1000)


def parents(evaluated: Evaluated) -> list[Any]:
    return list(tree.search(evaluated.client, evaluated.parent.info.experiment_id, "tags.`run.kind` = 'pipeline'"))


def joined(evaluated: Evaluated, tmp_path: Path, *given: str, data: Path | None = None) -> Any:
    return join_models(evaluated.client, given, Ensemble(weights="equal"), POLICY, data, tmp_path, lambda _: None)


def test_without_a_version_the_data_has_to_be_given(evaluated: Evaluated, tmp_path: Path):
    ids = [run.info.run_id for run in evaluated.members[:2]]
    before = len(parents(evaluated))
    with pytest.raises(UserError, match="nothing says where their data is; pass it with --data"):
        joined(evaluated, tmp_path, *ids)
    assert len(parents(evaluated)) == before


def test_versions_and_runs_become_one_model_with_a_verdict(evaluated: Evaluated, tmp_path: Path):
    """The data is the versions' own."""
    client, ids = evaluated.client, [run.info.run_id for run in evaluated.members]
    register_candidates(client, ids[:1], evaluated.folder, POLICY, evaluated.parent.info.run_id)
    verdict = joined(evaluated, tmp_path, "1", ids[1][:12])
    assert verdict.approved
    version = versions.version_of(client, verdict.challenger.version)
    run = client.get_run(version.run_id)
    assert (run.data.params["member.1"], run.data.params["member.2"]) == (ids[0], ids[1])
    assert (run.info.status, state_of(run)) == ("FINISHED", State.EVALUATED)
    assert version.tags[DATA_URI] == str(evaluated.folder)
    assert version.tags[names.DATA_DIGEST] == read_profile(evaluated.folder).digest
    parent = tree.parent_of(client, version.run_id)
    assert parent.info.run_id != evaluated.parent.info.run_id
    assert (parent.info.status, parent.data.tags[names.COMPLETED]) == ("FINISHED", "true")
    owner = owner_of(parent)
    assert owner is not None
    assert holds_lock(owner) is None, "its lock is gone with the command"
    assert parent.data.tags[names.BEAT].startswith(f"{owner.id} "), "its command beat for it"
    assert any(item.path == "report.html" for item in client.list_artifacts(parent.info.run_id))


def test_a_command_whose_run_another_one_took_over_registers_nothing_and_leaves_it_to_that(
    evaluated: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    client, ids = evaluated.client, [run.info.run_id for run in evaluated.members[:2]]
    taken: list[str] = []

    def evaluate(client: Any, run_id: str, *rest: Any) -> Any:
        parent = tree.parent_of(client, run_id)
        taken.append(parent.info.run_id)
        claim(client, parent, Owner("another", str(tmp_path / "lock")))
        return evaluate_candidate(client, run_id, *rest)

    monkeypatch.setattr("pipeline.ensemble.evaluate_candidate", evaluate)
    before = versions.versions_by_run(client)
    with pytest.raises(UserError, match="was taken over by another command"):
        joined(evaluated, tmp_path, *ids, data=evaluated.folder)
    assert versions.versions_by_run(client).keys() == before.keys()
    assert tree.is_open(client.get_run(taken[0]))


def test_a_pipeline_run_stands_for_its_candidates_but_not_their_ensemble(evaluated: Evaluated):
    evaluated.join(Ensemble())
    found = find_members(evaluated.client, [evaluated.parent.info.run_id])
    assert [run.info.run_id for run in found] == [run.info.run_id for run in evaluated.members]


def test_one_model_given_twice_is_no_ensemble(evaluated: Evaluated):
    run_id = evaluated.members[0].info.run_id
    with pytest.raises(UserError, match=r"two models or more \(received 1\)"):
        find_members(evaluated.client, [run_id, run_id[:10]])


def test_a_model_that_was_not_evaluated_is_refused_by_name(evaluated: Evaluated):
    waiting = evaluated.client.create_run(
        evaluated.parent.info.experiment_id, run_name="waiting", tags={names.STATE: State.TRAINED}
    )
    with pytest.raises(UserError, match="waiting was not evaluated"):
        find_members(evaluated.client, [evaluated.members[0].info.run_id, waiting.info.run_id])


def test_models_of_other_data_are_refused_and_nothing_is_opened(
    evaluated: Evaluated,
    tmp_path: Path,
):
    from components.balance.balance_classes import balance_classes
    from components.balance.parameters import Balance

    other = tmp_path / "other"
    balance_classes(evaluated.folder, other, Balance())
    before = len(parents(evaluated))
    with pytest.raises(UserError, match="was trained on other data"):
        joined(evaluated, tmp_path, *(run.info.run_id for run in evaluated.members[:2]), data=other)
    assert len(parents(evaluated)) == before
