"""`train.reuse`: a candidate that an earlier pipeline run trained and evaluated, asked of MLflow."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.entities import Metric, Run

from components.ensemble.ensemble import join
from components.ensemble.parameters import Ensemble
from components.evaluate.evaluate import evaluate_candidate
from components.evaluate.parameters import Evaluate
from components.open_run.resolve import resolve_candidates
from components.register.register import register_candidates
from components.train.reuse import reuse_candidate
from components.train.train import train_candidate
from ferkit.data import read_profile
from ferkit.registry import versions
from ferkit.registry.settings import Register
from ferkit.tracking import candidates, names
from ferkit.tracking.candidates import NewCandidate, open_candidates
from ferkit.tracking.reuse import log_reusable
from ferkit.training.settings import ResolvedTrain
from pipeline.candidates import find_champion
from pipeline.compare import rows_of

if TYPE_CHECKING:
    from evaluated import Evaluated

LOG = logging.getLogger("test")
LENIENT = Register(floor_macro_f1=0.0, floor_recall=0.0)
WEIGHTS = {names.WEIGHTS_VERSION: "feed"}


@pytest.fixture(scope="module")
def first(evaluated: Evaluated) -> Evaluated:
    """The earlier pipeline run: three candidates, evaluated and registered, with figures by epoch."""
    client = evaluated.client
    for run in evaluated.members:
        run_id = run.info.run_id
        epochs = [(name, step) for name in ("val/macro_f1", "train/loss") for step in (1, 2)]
        points = [Metric(name, 0.1 * step, 1000 + step, step) for name, step in epochs]
        points += [Metric("train_seconds", 60.0, 1003, 0), Metric("system/cpu", 1.0, 1003, 0)]
        client.log_batch(run_id, metrics=points)
        client.log_text(run_id, "epoch,val/macro_f1\n", "training/history.csv")
        client.set_tag(run_id, names.WEIGHTS_VERSION, "feed")
    run_ids = [run.info.run_id for run in evaluated.members]
    register_candidates(client, run_ids, evaluated.folder, LENIENT, evaluated.parent.info.run_id)
    return evaluated


def again(first: Evaluated, candidate_id: str, **settings: Any) -> Run:
    """A candidate of a new pipeline run, waiting for its training."""
    parent = first.client.create_run(first.parent.info.experiment_id, tags={names.RUN_KIND: "pipeline", **WEIGHTS})
    candidate = NewCandidate(candidate_id, "again", "lenet", settings, WEIGHTS)
    [run_id] = open_candidates(first.client, parent, [candidate])
    return first.client.get_run(run_id)


def taken_over(first: Evaluated, candidate_id: str) -> Run:
    run_id = again(first, candidate_id, reuse=True).info.run_id
    train_candidate(first.client, run_id, first.folder, "", LOG)
    return first.client.get_run(run_id)


def id_of(run: Run) -> str:
    return run.data.tags[names.CANDIDATE_ID]


def test_it_has_the_others_figures_model_files_and_data_and_is_evaluated_anew(first: Evaluated):
    source = first.client.get_run(first.members[1].info.run_id)
    run = taken_over(first, id_of(source))
    run_id = run.info.run_id
    assert (candidates.state_of(run), run.info.status) == ("trained", "FINISHED")
    assert run.data.tags[names.REUSED_FROM] == source.info.run_id
    assert run.data.tags[names.DATA_DIGEST] == source.data.tags[names.DATA_DIGEST]
    assert source.info.run_id in run.data.tags["mlflow.note.content"]
    history = [(point.step, point.value) for point in first.client.get_metric_history(run_id, "val/macro_f1")]
    assert history == [(1, 0.1), (2, 0.2)]
    assert run.data.metrics["train_seconds"] == 60
    assert not [name for name in run.data.metrics if name.startswith(("system/", "test/", "eval_val/"))]
    assert [file.path for file in first.client.list_artifacts(run_id, "training")] == ["training/history.csv"]
    assert run.outputs.model_outputs[0].model_id == source.outputs.model_outputs[0].model_id
    assert {given.dataset.name for given in run.inputs.dataset_inputs} == {"train", "validation"}
    evaluate_candidate(first.client, run_id, first.folder, Evaluate(resamples=100))
    figures = first.client.get_run(run_id).data.metrics
    compared = [name for name in source.data.metrics if name.startswith(("test/", "eval_val/"))]
    assert {name: figures[name] for name in compared} == {name: source.data.metrics[name] for name in compared}


def test_killed_on_the_way_it_is_taken_over_once(first: Evaluated, monkeypatch: pytest.MonkeyPatch):
    run_id = again(first, id_of(first.members[0]), reuse=True).info.run_id

    def killed(client: object, run_id: str, state: str) -> None:
        if state == "trained":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(candidates, "set_state", killed)
        with pytest.raises(KeyboardInterrupt):
            train_candidate(first.client, run_id, first.folder, "", LOG)
    train_candidate(first.client, run_id, first.folder, "", LOG)
    run = first.client.get_run(run_id)
    assert candidates.state_of(run) == "trained"
    assert [point.step for point in first.client.get_metric_history(run_id, "train/loss")] == [1, 2]
    assert len(run.outputs.model_outputs) == 1


def test_its_version_is_the_one_that_exists_and_the_gate_judges_anew(first: Evaluated):
    client, best = first.client, first.client.get_run(first.members[0].info.run_id)
    before = {version.number: version for version in versions.versions(client)}
    of_best, of_second = (
        versions.versions(client, run.info.run_id)[0] for run in (best, client.get_run(first.members[1].info.run_id))
    )
    said = client.get_model_version(of_second.model, of_second.number).description
    runs = [taken_over(first, id_of(run)) for run in first.members[:2]]
    for run in runs:
        evaluate_candidate(client, run.info.run_id, first.folder, Evaluate(resamples=100))
    parent_id = runs[0].data.tags["mlflow.parentRunId"]
    run_ids = [run.info.run_id for run in runs]
    strict = Register(floor_macro_f1=0.99)
    verdict = register_candidates(client, run_ids, first.folder, strict, parent_id)
    assert {version.number for version in versions.versions(client)} == set(before)
    assert (verdict.challenger.version, verdict.challenger.run_id) == (of_best.number, run_ids[0])
    assert versions.find_version(client, of_best.number).tags["validation_status"] == "rejected"
    assert client.get_run(run_ids[0]).data.tags[names.VERDICT] == "rejected"
    assert client.get_run(parent_id).data.tags[names.VERSION] == f"facial-expression/{of_best.number}"
    told = client.get_model_version(of_best.model, of_best.number).description
    assert told
    assert "**rejected**" in told
    assert f"runs/{best.info.run_id}" in told  # where it was trained
    assert client.get_model_version(of_second.model, of_second.number).description == said
    rows = {row.run_id: row for row in rows_of(client, run_ids)}
    assert [rows[run_id].version for run_id in run_ids] == [of_best.number, of_second.number]
    assert rows[run_ids[0]].reused_from == best.info.run_id
    client.set_registered_model_alias(of_best.model, names.CHAMPION, of_best.number)
    assert find_champion(client, run_ids) == run_ids[0]
    client.delete_registered_model_alias(of_best.model, names.CHAMPION)


def test_a_model_that_has_no_version_here_gets_one(first: Evaluated):
    run = taken_over(first, id_of(first.members[2]))
    evaluate_candidate(first.client, run.info.run_id, first.folder, Evaluate(resamples=100))
    register_candidates(first.client, [run.info.run_id], first.folder, LENIENT, model="elsewhere")
    (version,) = versions.versions(first.client, model="elsewhere")
    assert version.run_id == first.members[2].info.run_id


def test_so_is_an_ensemble_of_candidates_that_were_taken_over(first: Evaluated):
    client, run_ids = first.client, [run.info.run_id for run in first.members[:2]]
    made = first.join(Ensemble(weights="fitted"), run_ids)
    evaluate_candidate(client, made, first.folder, Evaluate(resamples=100))
    members = [taken_over(first, id_of(run)) for run in first.members[:2]]
    parent = client.get_run(members[0].data.tags["mlflow.parentRunId"])
    for member in members:
        evaluate_candidate(client, member.info.run_id, first.folder, Evaluate(resamples=100))
    members = [client.get_run(member.info.run_id) for member in members]
    before, run = client.get_run(made), client.get_run(join(client, parent, members, first.folder, "fitted", LOG))
    assert run.data.tags[names.REUSED_FROM] == made
    assert run.data.params["weight.1"] == before.data.params["weight.1"]
    assert run.data.metrics[names.CROSS_FITTED] == before.data.metrics[names.CROSS_FITTED]
    assert members[1].info.run_id in run.data.tags["mlflow.note.content"]
    mixed = client.get_run(join(client, parent, [members[0], before], first.folder, "equal", LOG))
    assert names.REUSED_FROM not in mixed.data.tags


@pytest.mark.parametrize(
    ("tag", "value"),
    [(names.STATE, "pruned"), (names.STATE, "failed"), (names.DATA_DIGEST, "0" * 32), (names.REUSED_FROM, "1" * 32)],
)
def test_neither_pruned_nor_failed_nor_other_data_nor_second_hand(
    first: Evaluated, tag: str, value: str, monkeypatch: pytest.MonkeyPatch
):
    source = first.members[0]
    before = first.client.get_run(source.info.run_id).data.tags.get(tag)
    first.client.set_tag(source.info.run_id, tag, value)
    try:
        assert not is_taken_over(first, id_of(source), monkeypatch)
    finally:
        if before is None:
            first.client.delete_tag(source.info.run_id, tag)
        else:
            first.client.set_tag(source.info.run_id, tag, before)
    assert is_taken_over(first, id_of(source), monkeypatch)


def is_taken_over(first: Evaluated, candidate_id: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether it is, in place of a training."""
    trained: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr("components.train.train.Candidate.load", lambda settings: trained.append("") or 1 / 0)
        run_id = again(first, candidate_id, reuse=True).info.run_id
        train_candidate(first.client, run_id, first.folder, "", LOG)
    return not trained


def test_a_model_whose_files_are_gone_is_trained_again(first: Evaluated, monkeypatch: pytest.MonkeyPatch):
    client, source = first.client, first.members[2]
    model_id = client.get_run(source.info.run_id).outputs.model_outputs[0].model_id
    monkeypatch.setattr("ferkit.tracking.reuse.list_artifacts", lambda artifact_uri: [])
    assert not is_taken_over(first, id_of(source), monkeypatch)
    monkeypatch.undo()
    client.delete_logged_model(model_id)
    assert not is_taken_over(first, id_of(source), monkeypatch)


def test_where_it_is_off_one_line_says_that_it_could_be(first: Evaluated, caplog: pytest.LogCaptureFixture):
    source = first.members[1]
    run = again(first, id_of(source), reuse=False)
    parent = first.client.get_run(run.data.tags["mlflow.parentRunId"])
    log_reusable(first.client, parent, LOG)
    (line,) = caplog.messages
    assert line.startswith("1 of 1 candidates were trained and evaluated before, on the same data (again: run ")
    assert line.endswith("); train.reuse=true reuses them")
    caplog.clear()
    asked = again(first, id_of(source), reuse=True)
    log_reusable(first.client, first.client.get_run(asked.data.tags["mlflow.parentRunId"]), LOG)
    unknown = again(first, "another", reuse=False)
    log_reusable(first.client, first.client.get_run(unknown.data.tags["mlflow.parentRunId"]), LOG)
    assert not caplog.messages
    caplog.set_level(logging.INFO)
    first.client.set_tag(run.info.run_id, names.SEARCH_RUN, "a trial whose values were open")
    trial, profile = first.client.get_run(run.info.run_id), read_profile(first.folder)
    assert not reuse_candidate(first.client, trial, {"reuse": False}, profile, LOG)
    (line,) = caplog.messages
    assert line.startswith(f"again: was trained before, as run {source.info.run_id[:8]} (lenet-s")
    assert "version facial-expression/" in line


def test_what_changes_no_result_is_no_part_of_a_candidates_identity():
    assert {field.name for field in fields(ResolvedTrain)} >= names.WITHOUT_EFFECT
    told = {"reuse": True, "require_gpu": True, "save_every": 5, "tensorboard": True}
    assert set(told) == names.WITHOUT_EFFECT
    plain, same, other = (
        resolve_candidates([{"architecture": "lenet", **more}], {}, ("data",))[0].candidate_id
        for more in ({}, told, {"flip": False})
    )
    assert plain == same
    assert plain != other
