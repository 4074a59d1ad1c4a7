"""The gate on real models: registered, loaded, scored. Each reads its answer off one pixel: its figures are known."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from components.register.descriptions import describe_pipeline_run
from components.register.register import register_candidates
from components.register.verdicts import gate_version
from ferkit.data import (
    EMOTIONS,
    SPLITS,
    Faces,
    Profile,
    SplitWriter,
    read_profile,
    read_split,
    split_path,
    write_profile,
)
from ferkit.errors import UserError
from ferkit.metrics.classification import Scores
from ferkit.metrics.evaluation import FILE, Evaluation, describe_split, read_candidate
from ferkit.registry import versions
from ferkit.registry.promotion import promote, roll_back
from ferkit.registry.settings import Register
from ferkit.registry.state import read_state, reconcile
from ferkit.serving.package import log_face_model
from ferkit.tracking import active_run, names, tree
from ferkit.tracking.names import metric
from ferkit.tracking.store import connect
from pipeline.cli import cli

SIDE = 8
ROWS = 1_200
STEP = 30
"""Grey levels from one label to the next, in the pixel that a model reads."""

GOOD, EQUAL, BAD, RUINED = range(4)
POLICY = Register(resamples=1_000)


def draw_faces(seed: int, rows: int = ROWS) -> Faces:
    """Faces whose pixel k of the first line holds what model k answers: right in 80, 80, 50 and 90% of the rows.

    RUINED never says `disgust`.
    """
    draw = np.random.default_rng(seed)
    emotion = draw.integers(0, 7, rows).astype(np.uint8)
    pixels = draw.integers(0, 256, (rows, SIDE, SIDE), dtype=np.uint8)
    for model, right in ((GOOD, 0.8), (EQUAL, 0.8), (BAD, 0.5), (RUINED, 0.92)):
        answer = np.where(draw.random(rows) < right, emotion, draw.integers(0, 7, rows))
        if model == RUINED:
            answer = np.where((emotion == 1) & (draw.random(rows) < 0.6), 0, answer)
        pixels[:, 0, model] = answer * STEP
    technique = np.full(rows, "original", object)
    return Faces(np.arange(rows, dtype=np.int32), emotion, pixels, technique, np.zeros(rows, bool))


def write_data(folder: Path, splits: dict[str, Faces]) -> Path:
    """A data set folder of these splits."""
    folder.mkdir()
    records = {}
    for split in SPLITS:
        with SplitWriter(split_path(folder, split), SIDE) as writer:
            writer.write(splits[split])
        records[split] = writer.record()
    write_profile(folder, Profile({"sha256": "0" * 64, "rows": 0}, SIDE, records))
    return folder


def save_network(path: Path, pixel: int) -> None:
    """A network that answers round(pixel / STEP): its logits are -(x - STEP k)^2 without the term all share."""
    import keras

    faces = keras.Input((SIDE, SIDE, 1), dtype="uint8")
    one = keras.layers.Cropping2D(((0, SIDE - 1), (pixel, SIDE - 1 - pixel)))(keras.layers.Rescaling(1.0)(faces))
    logits = keras.layers.Dense(7, name="nearest")
    network = keras.Model(faces, keras.layers.Softmax()(logits(keras.layers.Flatten()(one))))
    steps = STEP * np.arange(7.0)
    logits.set_weights([2 * steps[None] / 100, -(steps**2) / 100])
    network.save(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    return write_data(folder / "faces", {split: draw_faces(seed) for seed, split in enumerate(SPLITS)})


@pytest.fixture(scope="module")
def trained(
    new_store: Callable[[Path], str], data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A store with a pipeline run of four candidates; (its folder, their runs)."""
    folder = tmp_path_factory.mktemp("trained")
    client = connect(new_store(folder))
    experiment_id = tree.experiment_id(client, names.EXPERIMENT)
    run_ids = []
    for model, name in enumerate(("good", "equal", "bad", "ruined")):
        run_id = client.create_run(experiment_id, run_name=name).info.run_id
        save_network(folder / f"{name}.keras", model)
        with active_run.writing_to(run_id):
            log_face_model(folder / f"{name}.keras", side=SIDE, example=draw_faces(0, 1).pixels)
        run_ids.append(run_id)
    return folder, run_ids


class Case:
    """A fresh copy of the trained store, and what a test does with it."""

    def __init__(self, store: Path, run_ids: list[str], data: Path) -> None:
        self.uri = f"sqlite:///{store}"
        self.client = connect(self.uri)
        self.run_ids, self.data = run_ids, data
        self.parent = self.open_parent()

    def open_parent(self) -> str:
        return self.client.create_run("1", tags={names.RUN_KIND: "pipeline"}).info.run_id

    def evaluate(self, model: int, score: float) -> str:
        """Logs the metrics that make a candidate evaluated: on validation that score, on test some other."""
        self.client.set_tag(self.run_ids[model], MLFLOW_PARENT_RUN_ID, self.parent)
        self.client.log_metric(self.run_ids[model], metric("validation", "macro_f1"), score)
        self.client.log_metric(self.run_ids[model], metric("test", "macro_f1"), 0.5)
        return self.run_ids[model]

    @contextmanager
    def with_evaluation(self, model: int) -> Iterator[None]:
        """What `evaluate` leaves of the test split; taken away again, for other tests share the artifacts."""
        emotion = read_split(self.data, "test").emotion
        scores = Scores(emotion, np.eye(7, dtype=np.float32)[emotion])
        found = describe_split(scores, read_profile(self.data).splits["test"]["digest"], 100, 0)
        self.client.log_text(self.run_ids[model], Evaluation(SIDE, "", {"test": found}, []).to_json(), FILE)
        try:
            yield
        finally:
            place = urlsplit(self.client.get_run(self.run_ids[model]).info.artifact_uri).path
            Path(place, FILE).unlink()

    def register(self, *models: int, data: Path | None = None, policy: Register = POLICY):
        """Registers these candidates; the first is the best on validation."""
        ids = [self.evaluate(model, 0.9 - place / 10) for place, model in enumerate(models)]
        return register_candidates(self.client, ids, data or self.data, policy, self.parent)


@pytest.fixture
def case(trained: tuple[Path, list[str]], data: Path, tmp_path: Path) -> Case:
    folder, run_ids = trained
    return Case(Path(shutil.copy(folder / "mlflow.db", tmp_path / "mlflow.db")), run_ids, data)


def test_without_a_champion_the_floors_alone_decide(case: Case) -> None:
    verdict = case.register(GOOD, BAD)
    assert verdict.approved
    assert verdict.compared_with == "none"
    assert verdict.reasons == ("clears the floors; there is no champion to compare with yet",)
    assert verdict.challenger.accuracy == pytest.approx(0.8 + 0.2 / 7, abs=0.04)
    assert reconcile(case.client).challenger == verdict.challenger.version
    assert promote(case.client).changed


def test_every_candidate_is_registered_and_only_the_best_on_validation_is_judged(case: Case) -> None:
    diverged = case.client.create_run("1").info.run_id
    ids = [case.evaluate(BAD, 0.9), case.evaluate(GOOD, 0.8), diverged]
    verdict = register_candidates(case.client, ids, case.data, POLICY, case.parent)
    assert verdict.challenger.name == "bad"  # by validation, though test would have picked the other
    status = {row.name: (row.version, row.validation_status) for row in verdict.candidates}
    assert status["good"] == ("2", "not_gated")
    assert status["bad"] == ("1", verdict.status)
    assert {version.number for version in versions.versions(case.client)} == {"1", "2"}


def test_registering_twice_makes_one_version(case: Case) -> None:
    first, second = case.register(GOOD, BAD), case.register(GOOD, BAD)
    assert first.challenger.version == second.challenger.version
    assert len(versions.versions(case.client)) == 2


def test_floors_reject_and_leave_no_challenger(case: Case) -> None:
    verdict = case.register(BAD, policy=Register(floor_macro_f1=0.7))
    assert verdict.status == "rejected"
    assert "below the floor of 0.7" in verdict.reasons[0]
    assert reconcile(case.client).challenger is None


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        (EQUAL, "approved", "no class ruined"),
        (BAD, "rejected", "may be worse"),
        (RUINED, "rejected", "disgust is ruined"),
    ],
)
def test_a_challenger_is_held_against_the_champion(case: Case, model: int, status: str, reason: str) -> None:
    case.register(GOOD)
    promote(case.client)
    verdict = case.register(model, policy=Register(resamples=1_000, allowed_loss=0.06))
    assert (verdict.status, verdict.compared_with) == (status, "1")
    assert reason in " ".join(verdict.reasons)
    assert verdict.champion is not None
    assert verdict.champion.name == "good"
    tags = case.client.get_model_version(names.REGISTERED_MODEL, verdict.challenger.version).tags
    assert (tags["validation_status"], tags["compared_with"]) == (status, "1")
    written = case.client.download_artifacts(case.parent, f"gate/verdict-of-version-{verdict.challenger.version}.json")
    numbers = json.loads(Path(written).read_text())
    assert (numbers["status"], numbers["macro_f1"]["low"]) == (status, verdict.macro_f1.low)  # type: ignore[union-attr]


def test_a_champion_that_does_not_load_blocks(case: Case) -> None:
    case.register(GOOD)
    promote(case.client)
    broken = case.client.create_model_version(names.REGISTERED_MODEL, "file:///nowhere/model", case.run_ids[BAD])
    promote(case.client, str(broken.version), force=True, reason="test")
    verdict = case.register(EQUAL)
    assert verdict.status == "rejected"
    assert "champion version 2 cannot be scored" in verdict.reasons[0]
    assert "cannot be loaded" in verdict.reasons[0]
    assert verdict.champion is None


def test_a_champion_that_was_deleted_blocks(case: Case) -> None:
    case.register(GOOD)
    promote(case.client)
    case.client.delete_model_version(names.REGISTERED_MODEL, "1")
    verdict = case.register(EQUAL)
    assert "was deleted from the registry" in verdict.reasons[0]


def test_a_champion_of_other_data_that_knows_todays_test_rows_is_said(case: Case, tmp_path: Path) -> None:
    case.register(GOOD)
    promote(case.client)
    train, test = draw_faces(11), draw_faces(12)
    known = draw_faces(0).take(np.arange(100))  # the champion's training rows
    mixed = Faces(*(np.concatenate(pair) for pair in zip(vars(test).values(), vars(known).values(), strict=True)))
    other = write_data(tmp_path / "other", {"train": train, "validation": draw_faces(13), "test": mixed})
    case.parent = case.open_parent()
    with case.with_evaluation(GOOD):
        verdict = case.register(EQUAL, data=other)
    notes = " ".join(verdict.notes)
    assert "was trained on other data" in notes
    assert "was judged on another test split" in notes
    assert f"of {ROWS + 100:,} test rows, champion version 1 was trained on 100 and version 2 on 0" in notes
    assert verdict.unseen is not None
    assert str(verdict.unseen) in notes


def test_the_same_data_needs_no_note(case: Case) -> None:
    case.register(GOOD)
    promote(case.client)
    assert case.register(EQUAL).notes == ()


def test_a_class_without_test_rows_is_said(case: Case, tmp_path: Path) -> None:
    test = draw_faces(2)
    splits = {"train": draw_faces(0), "validation": draw_faces(1), "test": test.take(test.emotion != 1)}
    verdict = case.register(GOOD, data=write_data(tmp_path / "no-disgust", splits))
    assert "no test row is disgust" in verdict.notes[0]
    assert verdict.challenger.recall["disgust"] is None


def test_a_candidate_that_diverged_after_some_epochs_is_passed_over(case: Case) -> None:
    diverged = case.client.create_run("1").info.run_id
    case.client.log_metric(diverged, metric("validation", "macro_f1"), 0.99, step=1)  # of an epoch before
    tree.close(case.client, diverged, "FAILED", "loss is NaN in epoch 3")
    good = case.evaluate(GOOD, 0.9)
    verdict = register_candidates(case.client, [diverged, good], case.data, POLICY, case.parent)
    assert verdict.challenger.run_id == good
    assert {row.run_id: row.version for row in verdict.candidates} == {good: "1", diverged: None}


@pytest.mark.parametrize("state", ["", "trained"])
def test_a_candidate_that_was_not_evaluated_is_not_registered(case: Case, state: str) -> None:
    trained = case.client.create_run("1", run_name="lenet-s7").info.run_id
    case.client.log_metric(trained, metric("validation", "macro_f1"), 0.99, step=3)  # training's own
    if state:
        case.client.set_tag(trained, names.STATE, state)
    with pytest.raises(UserError, match="none of 1 candidates can be registered: lenet-s7 was not evaluated"):
        register_candidates(case.client, [trained], case.data, POLICY, case.parent)
    assert case.client.search_registered_models() == []


def test_registering_again_when_its_best_is_champion_is_a_verdict_and_takes_nothing_back(case: Case) -> None:
    case.register(GOOD, BAD)
    promote(case.client)
    before = case.client.get_model_version(names.REGISTERED_MODEL, "1").tags
    verdict = case.register(GOOD, BAD)
    assert verdict.reasons == ("version 1, the best of this run on validation, is the champion",)
    assert verdict.approved
    assert case.client.get_model_version(names.REGISTERED_MODEL, "1").tags == before
    assert reconcile(case.client).champion == "1"
    assert case.client.get_run(case.parent).data.tags["gate.verdict"] == str(verdict)
    assert "Compared with: nothing, for it is the champion, on" in _note(case)
    assert [(row.version, row.validation_status) for row in verdict.candidates] == [
        ("1", "approved"),
        ("2", "not_gated"),
    ]


def test_no_candidate_with_scores_is_an_error_with_their_reasons(case: Case) -> None:
    diverged = case.client.create_run("1").info.run_id
    tree.close(case.client, diverged, "FAILED", "loss is NaN in epoch 3")
    with pytest.raises(UserError, match="none of 1 candidates can be registered: loss is NaN in epoch 3"):
        register_candidates(case.client, [diverged], case.data, POLICY, case.parent)


def test_gating_again_makes_a_stale_approval_good(case: Case) -> None:
    case.register(GOOD, EQUAL)
    promote(case.client)
    with pytest.raises(UserError, match="`ferpipe gate 2`"):
        promote(case.client, "2")
    result = CliRunner().invoke(
        cli, ["gate", "2", "--tracking-uri", case.uri, "--set", "allowed_loss=0.06", "--json"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["status"] == "approved"
    assert reconcile(case.client).challenger == "2"
    assert promote(case.client).champion == "2"


def test_gating_the_champion_or_without_its_data_is_refused(case: Case, tmp_path: Path) -> None:
    case.register(GOOD, EQUAL)
    promote(case.client)
    with pytest.raises(UserError, match="is the champion"):
        gate_version(case.client, "1", None, POLICY)
    case.client.set_model_version_tag(names.REGISTERED_MODEL, "2", "data.uri", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="--data"):
        gate_version(case.client, "2", None, POLICY)


def test_the_answers_are_those_the_pixel_says(data: Path, trained: tuple[Path, list[str]], case: Case) -> None:
    verdict = case.register(GOOD)
    test = draw_faces(2)
    expected = float(np.mean(test.pixels[:, 0, GOOD] // STEP == test.emotion))
    assert verdict.challenger.accuracy == pytest.approx(expected, abs=1e-12)
    assert list(verdict.challenger.recall) == list(EMOTIONS)


def test_the_life_of_a_model_of_another_name_touches_no_other_model(case: Case) -> None:
    """Registered, gated, promoted, judged anew, rolled back: each under the name that the run was told."""
    name = "faces-of-the-lab"
    ids = [case.evaluate(model, 0.9 - place / 10) for place, model in enumerate((GOOD, EQUAL))]
    first = register_candidates(case.client, ids, case.data, POLICY, case.parent, model=name)
    assert (first.model, first.approved) == (name, True)
    assert promote(case.client, model=name).champion == first.challenger.version
    second = gate_version(case.client, "2", case.data, POLICY, name)
    assert second.compared_with == first.challenger.version
    assert promote(case.client, "2", model=name, force=True, reason="the other one").champion == "2"
    assert roll_back(case.client, model=name).champion == first.challenger.version
    assert [entry.version for entry in read_state(case.client, name).entries] == ["1", "2", "1"]
    assert str(case.client.get_model_version_by_alias(name, names.CHAMPION).version) == "1"
    assert versions.our_models(case.client) == [name]
    assert case.client.get_experiment_by_name("facial-expression promotions") is None
    assert case.client.get_experiment_by_name(f"{name} promotions") is not None


def test_registry_and_pipeline_run_say_what_came_out(case: Case) -> None:
    verdict = case.register(GOOD, BAD)
    best, other = (case.client.get_model_version(names.REGISTERED_MODEL, number) for number in ("1", "2"))
    told, told_of_other = str(best.description), str(other.description)
    assert "approved" in told
    assert "no champion to compare with yet" in told
    assert f"/runs/{case.run_ids[GOOD]}?" in told
    assert "not gated" in told_of_other
    assert [client_run.data.tags[names.VERDICT] for client_run in map(case.client.get_run, case.run_ids[:3:2])] == [
        "approved",
        "not_gated",
    ]
    why = [case.client.get_run(run_id).data.tags[names.VERDICT_REASONS] for run_id in case.run_ids[:3:2]]
    assert why[0] == "; ".join(verdict.reasons)
    assert why[1] == f"not judged: of its pipeline run, {verdict.challenger.name} is the best on validation"
    parent = case.client.get_run(case.parent)
    assert parent.data.tags[names.VERSION] == "facial-expression/1"
    assert parent.data.tags["gate.verdict"] == str(verdict)
    assert parent.data.tags[names.VERDICT_REASONS] == why[0]
    assert parent.data.metrics == {"eval_val/macro_f1": 0.9, "test/macro_f1": 0.5}
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("**approved**: [facial-expression version 1](")
    assert "bad" in note
    assert set(best.tags) == {
        "validation_status",
        "validation_reasons",
        "compared_with",
        "data.digest",
        "data.uri",
    }


def test_a_later_verdict_is_in_the_rows_of_its_run_and_of_the_pipeline_run(case: Case) -> None:
    case.register(GOOD, BAD)
    table = _note(case).partition("| candidate |")[2]
    strict = Register(resamples=1_000, floor_macro_f1=0.99)
    for number, run_ids in (("1", (case.run_ids[GOOD], case.parent)), ("2", (case.run_ids[BAD],))):
        verdict = gate_version(case.client, number, case.data, strict)
        for run_id in run_ids:
            tags = case.client.get_run(run_id).data.tags
            assert (tags[names.VERDICT], tags[names.VERDICT_REASONS]) == ("rejected", "; ".join(verdict.reasons))
    tags = case.client.get_run(case.parent).data.tags
    assert tags[names.VERSION] == "facial-expression/1", "its best is the same"
    assert tags[names.GATE_VERDICT].startswith("version 1 (good) rejected: "), "not what was said of another version"
    assert _note(case).startswith("**rejected**: [facial-expression version 1](")
    assert "approved" not in _note(case)
    assert _note(case).partition("| candidate |")[2] == table
    case.client.set_tag(case.parent, MLFLOW_RUN_NOTE, "Seen by **Ann**.")
    gate_version(case.client, "1", case.data, POLICY)
    assert _note(case).startswith("**approved**: ")
    assert _note(case).endswith("Seen by **Ann**.")


def _note(case: Case) -> str:
    return case.client.get_run(case.parent).data.tags[MLFLOW_RUN_NOTE]


def test_the_registered_model_says_what_it_is_and_how_a_version_becomes_champion(case: Case) -> None:
    case.client.create_registered_model(names.REGISTERED_MODEL)  # as a team's administrator makes it
    case.register(GOOD)
    told = str(case.client.get_registered_model(names.REGISTERED_MODEL).description)
    assert 'load_model("models:/facial-expression@champion")' in told
    assert "ferpipe promote --model facial-expression" in told
    case.client.update_registered_model(names.REGISTERED_MODEL, "Of the front desk's camera.")
    case.register(GOOD)
    assert case.client.get_registered_model(names.REGISTERED_MODEL).description == "Of the front desk's camera."


def test_a_note_stays_in_front_of_what_came_out(case: Case) -> None:
    case.client.set_tag(case.parent, names.NOTE, "With **mixup**.")
    case.register(GOOD)
    note = case.client.get_run(case.parent).data.tags["mlflow.note.content"]
    assert note.startswith("With **mixup**.\n\n**approved**: ")


def test_a_description_is_cut_by_whole_rows_to_what_a_versions_column_holds(case: Case) -> None:
    verdict = case.register(GOOD)
    best = read_candidate(case.client, case.run_ids[GOOD])
    many = [best, *(replace(best, run_id=f"{number:032x}", name=f"lenet-tuned-s{number}") for number in range(300))]
    text = describe_pipeline_run(verdict, many, read_profile(case.data), "faces", case.uri)
    assert 4_700 < len(text) <= 5_000
    *_, last_row, left_out = text.splitlines()
    assert last_row.endswith("|")
    assert re.fullmatch(r"\d+ more rows", left_out)
