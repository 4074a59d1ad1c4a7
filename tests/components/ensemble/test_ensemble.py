"""An ensemble of evaluated candidates, asked of MLflow: its model, its run, its members; and when there is none."""

from __future__ import annotations

import logging
from pathlib import Path

import keras
import numpy as np
import pytest
from evaluated import LOG, Evaluated

from components.ensemble.ensemble import join, validation_answers
from components.ensemble.parameters import Ensemble
from components.evaluate.evaluate import evaluate_candidate
from components.evaluate.parameters import Evaluate
from ferkit.data import read_profile, read_split
from ferkit.errors import UserError
from ferkit.metrics.mixture import fit_weights
from ferkit.serving.load import load_face_model
from ferkit.serving.package import log_face_model
from ferkit.tracking import active_run, names, tree
from ferkit.tracking.candidates import NewCandidate, open_candidates, set_state, settings_of, state_of
from ferkit.tracking.names import State
from ferkit.tracking.ranking import validation_score


def answers(run_id: str, faces: np.ndarray) -> np.ndarray:
    return load_face_model(f"runs:/{run_id}/model").probabilities(faces)


def test_its_model_answers_with_the_mean_of_the_best_on_validation(evaluated: Evaluated):
    run_id = evaluated.join(Ensemble(members=2))
    faces = read_split(evaluated.folder, "test").pixels
    alone = [answers(run.info.run_id, faces) for run in evaluated.members]
    np.testing.assert_allclose(answers(run_id, faces), np.mean(alone[:2], axis=0), atol=1e-6)


def test_its_run_is_a_candidates_and_names_its_members(evaluated: Evaluated):
    run = evaluated.client.get_run(evaluated.join(Ensemble(members=2)))
    best, second = (member.info.run_id for member in evaluated.members[:2])
    assert (run.info.status, state_of(run)) == ("FINISHED", State.TRAINED)
    assert run.info.run_id in {child.info.run_id for child in tree.children(evaluated.client, evaluated.parent)}
    parameters = {"architecture": "ensemble", "weights": "equal", "members": "2", "member.1": best, "member.2": second}
    assert {**parameters, "weight.1": "0.5", "weight.2": "0.5"}.items() <= run.data.params.items()
    assert settings_of(run)["member.2"] == second
    assert run.data.tags[names.ARCHITECTURE] == names.ENSEMBLE
    assert run.data.tags[names.DATA_DIGEST] == read_profile(evaluated.folder).digest
    assert run.data.tags[names.GIT_COMMIT] == "0" * 40
    assert (run.data.tags[names.DATA_NAME], run.data.tags[names.PARENT_NAME]) == (
        "sample",
        evaluated.parent.info.run_name,
    )
    assert (run.data.params["ingest.duplicates"], run.data.params["balance.strategy"]) == ("keep", "none")
    for member in (best, second):
        assert f"/runs/{member})" in run.data.tags["mlflow.note.content"]
    linked = {evaluated.client.get_logged_model(one.model_id).source_run_id for one in run.inputs.model_inputs}
    assert linked == {best, second}
    assert run.data.metrics["parameters"] == 2 * (36 * 7 + 7)


def test_a_retried_step_finds_what_it_made(evaluated: Evaluated):
    first = evaluated.join(Ensemble(members=2))
    children = len(tree.children(evaluated.client, evaluated.parent))
    assert evaluated.join(Ensemble(members=2)) == first
    assert len(tree.children(evaluated.client, evaluated.parent)) == children
    assert evaluated.join(Ensemble(members=3)) != first


def test_a_step_that_was_killed_on_the_way_goes_on_in_the_same_run(evaluated: Evaluated):
    run_id = evaluated.join(Ensemble(members=2))
    set_state(evaluated.client, run_id, State.RUNNING)
    assert evaluated.join(Ensemble(members=2)) == run_id
    assert state_of(evaluated.client.get_run(run_id)) == State.TRAINED


def test_candidates_are_found_again_beside_an_ensemble(evaluated: Evaluated):
    """A resumed run opens its candidates once more."""
    ensemble = evaluated.join(Ensemble())
    again = [NewCandidate(f"c{n}", f"lenet-s{n}", "lenet", {"seed": n}) for n in range(3)]
    assert set(open_candidates(evaluated.client, evaluated.parent, again)) == {
        member.info.run_id for member in evaluated.members
    }
    assert ensemble in {child.info.run_id for child in tree.children(evaluated.client, evaluated.parent)}


def test_fitted_weights_are_those_of_validation_and_choose_by_a_cross_fitted_metric(evaluated: Evaluated):
    run_id = evaluated.join(Ensemble(weights="fitted"))
    truth, probabilities = validation_answers(evaluated.members)
    validation = read_split(evaluated.folder, "validation")
    order = np.argsort(validation.row)
    assert (truth == validation.emotion[order]).all()
    for member, said in zip(evaluated.members, probabilities, strict=True):
        np.testing.assert_allclose(said, answers(member.info.run_id, validation.pixels[order]), atol=1e-5)
    run = evaluated.client.get_run(run_id)
    weights = [float(run.data.params[f"weight.{number}"]) for number in (1, 2, 3)]
    np.testing.assert_allclose(weights, fit_weights(truth, probabilities), atol=1e-5)
    evaluate_candidate(evaluated.client, run_id, evaluated.folder, Evaluate(resamples=100))
    scored = evaluated.client.get_run(run_id)
    on_its_own = scored.data.metrics[names.metric("validation", "macro_f1")]
    assert validation_score(scored) == scored.data.metrics[names.CROSS_FITTED] != on_its_own


def test_without_two_finalists_it_is_skipped_with_a_sentence(evaluated: Evaluated, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    assert evaluated.join(Ensemble(), [evaluated.members[0].info.run_id]) == ""
    assert evaluated.join(Ensemble(weights="none")) == ""
    assert caplog.messages == [
        "skipped: an ensemble joins two finalists or more, and here is 1",
        "skipped: ensemble.weights is none",
    ]


def test_models_of_other_data_are_not_joined(evaluated: Evaluated):
    stranger = evaluated.client.create_run(
        evaluated.parent.info.experiment_id, run_name="stranger", tags={names.DATA_DIGEST: "f" * 64}
    )
    before = len(tree.children(evaluated.client, evaluated.parent))
    with pytest.raises(UserError, match=r"stranger \(run \w+\) was trained on other data \(digest ffffffffffff\)"):
        join(evaluated.client, evaluated.parent, [evaluated.members[0], stranger], evaluated.folder, "equal", LOG)
    assert len(tree.children(evaluated.client, evaluated.parent)) == before


def test_a_member_that_does_not_load_fails_the_ensemble_alone(evaluated: Evaluated, tmp_path: Path):
    """Its network is of another size than its run says, so nothing can be joined; the run goes on without."""
    [other] = open_candidates(
        evaluated.client,
        evaluated.client.create_run(evaluated.parent.info.experiment_id),
        [NewCandidate("odd", "odd", "lenet", {}, {names.DATA_DIGEST: read_profile(evaluated.folder).digest})],
    )
    faces = keras.Input((24, 24, 1))
    keras.Model(faces, keras.layers.Dense(7, "softmax")(keras.layers.Flatten()(faces))).save(tmp_path / "odd.keras")
    with active_run.writing_to(other):
        log_face_model(
            tmp_path / "odd.keras", side=24, example=np.arange(576, dtype=np.uint16).astype(np.uint8).reshape(1, 24, 24)
        )
    odd = evaluated.client.get_run(other)
    run_id = join(evaluated.client, evaluated.parent, [evaluated.members[0], odd], evaluated.folder, "equal", LOG)
    run = evaluated.client.get_run(run_id)
    assert (run.info.status, state_of(run)) == ("FAILED", State.FAILED)
    assert "take faces of different sizes" in run.data.tags[names.FAILURE]
    assert evaluate_candidate(evaluated.client, run_id, evaluated.folder, Evaluate()) is None
