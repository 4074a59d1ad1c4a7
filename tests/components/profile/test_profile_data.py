"""The profile: every picture and table is there, says what the data says, and reaches the parent run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.balance.balance_classes import balance_classes
from components.balance.parameters import Balance
from components.profile import measure, typical
from components.profile.log_profile import PROBLEM, log_profile
from components.profile.measure import measure_faces, pick_augmented
from components.profile.pictures import draw_faults
from components.profile.profile_data import Findings, profile_data
from components.profile.tables import count_identical, list_rejected
from ferkit.data import (
    EMOTIONS,
    SPLITS,
    Faces,
    Profile,
    SplitWriter,
    read_profile,
    read_split,
    read_split_in_chunks,
    split_path,
    write_profile,
)
from ferkit.data.sample.draw import draw_faces
from ferkit.tracking.store import connect

PICTURES = {"emotions", "thumbnails", "classes", "techniques", "mean_faces", "brightness_contrast", "faults"}
TABLES = {
    *{"classes", "techniques", "rejected", "duplicates", "brightness_contrast"},
    *{"near_duplicates", "near_duplicate_pairs", "rejected_rows"},
}


@pytest.fixture(scope="module")
def balanced(sample_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("balanced") / "balanced"
    balance_classes(sample_faces, folder, Balance())
    return folder


@pytest.fixture(scope="module")
def profiled(sample_faces: Path, balanced: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Findings]:
    folder = tmp_path_factory.mktemp("profile")
    return folder, profile_data(sample_faces, balanced, folder)


def test_every_picture_and_table_is_written(profiled: tuple[Path, Findings]) -> None:
    folder, findings = profiled
    expected = {f"{name}.png" for name in PICTURES} | {f"{name}.csv" for name in TABLES} | {"profile.json"}
    assert set(findings.files) == expected
    for name in PICTURES:
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.width >= 1600
            assert len(set(picture.convert("L").resize((200, 100)).tobytes())) > 20, f"{name} is next to empty"


def test_the_tables_say_what_the_profile_says(
    profiled: tuple[Path, Findings], sample_faces: Path, balanced: Path
) -> None:
    folder, _ = profiled
    before, after = read_profile(sample_faces), read_profile(balanced)
    classes = pd.read_csv(folder / "classes.csv", index_col="emotion")
    for name in EMOTIONS:
        assert classes.at[name, "train"] == before.splits["train"]["per_emotion"][name]
        assert classes.at[name, "train_balanced"] == after.splits["train"]["per_emotion"][name]
    assert classes.at["all", "test"] == before.splits["test"]["rows"]
    rejected = pd.read_csv(folder / "rejected.csv", index_col="reason")
    assert rejected["rows"].to_dict() == before.rejected
    techniques = pd.read_csv(folder / "techniques.csv", index_col="emotion")
    assert techniques["flip"].to_dict() == after.balance["made"]["flip"]
    assert json.loads((folder / "profile.json").read_text())["balance"] == after.balance


def test_measured_light_and_mean_faces_are_those_of_the_faces(sample_faces: Path) -> None:
    measured = measure_faces(sample_faces)
    train = read_split(sample_faces, "train")
    flat = train.pixels.reshape(len(train), -1)
    np.testing.assert_allclose(measured.brightness[: len(train)], flat.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(measured.contrast[: len(train)], flat.std(axis=1), rtol=1e-4)
    for label, name in enumerate(EMOTIONS):
        members = train.pixels[train.emotion == label]
        np.testing.assert_allclose(measured.mean_face[label], members.mean(axis=0))
        assert 1 <= len(measured.thumbnails[name]) <= 12
        shown = {face.tobytes() for face in measured.thumbnails[name]}
        assert shown <= {face.tobytes() for face in members}


def write_train(folder: Path, faces: np.ndarray, emotion: np.ndarray) -> None:
    """A data set folder with these faces in train and nothing in the other splits."""
    records = {}
    for split in SPLITS:
        count = len(faces) if split == "train" else 0
        with SplitWriter(split_path(folder, split), faces.shape[1]) as writer:
            original = np.full(count, "original", object)
            row = np.arange(count, dtype=np.int32)
            writer.write(Faces(row, emotion[:count], faces[:count], original, np.ones(count, bool)))
        records[split] = writer.record()
    write_profile(folder, Profile({"rows": len(faces)}, faces.shape[1], records))


def test_the_face_shown_of_an_emotion_is_whole_clear_and_like_the_others(tmp_path: Path) -> None:
    emotion = np.tile(np.arange(7, dtype=np.uint8), 40)
    faces = draw_faces(emotion, [0])
    sound = np.arange(len(faces)) >= 100
    spoilt = faces[~sound]
    spoilt[0::4, :, 24:] = 255  # half of it beside the face
    spoilt[1::4] = spoilt[1::4, ::-1]  # upside down
    spoilt[2::4] = 120 + spoilt[2::4] // 16  # next to no contrast
    spoilt[3::4] = np.where(spoilt[3::4] > 127, 255, 0)  # black and white
    faces[~sound] = spoilt
    write_train(tmp_path, faces, emotion)
    measured = measure_faces(tmp_path)
    for label, name in enumerate(EMOTIONS):
        shown = np.flatnonzero((faces == measured.most_typical[name]).all(axis=(1, 2)))
        assert (emotion[shown] == label).all()
        assert sound[shown].all()
    assert np.median(measured.typical[sound]) > np.median(measured.typical[~sound])


def test_how_typical_a_face_is_does_not_depend_on_chunks(sample_faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure_faces(sample_faces)
    for module in (measure, typical):
        monkeypatch.setattr(module, "read_split_in_chunks", partial(read_split_in_chunks, rows=97))
    pieces = measure_faces(sample_faces)
    np.testing.assert_allclose(pieces.typical, whole.typical, atol=1e-5)
    for name in EMOTIONS:
        np.testing.assert_array_equal(pieces.most_typical[name], whole.most_typical[name])


def test_an_emotion_without_faces_and_faces_of_one_grey_level_are_no_obstacle(tmp_path: Path) -> None:
    faces = draw_faces(np.array([0, 0, 3], np.uint8), [0])
    faces[1:] = 99
    write_train(tmp_path, faces, np.array([0, 0, 3], np.uint8))
    measured = measure_faces(tmp_path)
    assert set(measured.most_typical) == {"angry", "happy"}
    np.testing.assert_array_equal(measured.most_typical["angry"], faces[0])
    assert np.isfinite(measured.typical).all()


def test_every_emotion_shows_every_technique_that_made_one_by_faces_of_the_data(
    sample_faces: Path, balanced: Path
) -> None:
    made = read_profile(balanced).balance["made"]
    picked = {one.emotion: one.pairs for one in pick_augmented(balanced, measure_faces(sample_faces))}
    assert len(picked) > 3
    assert picked.keys() == {name for name in EMOTIONS if any(counts[name] for counts in made.values())}
    train = read_split(balanced, "train")
    for emotion, pairs in picked.items():
        assert pairs.keys() == {technique for technique, counts in made.items() if counts[emotion]}
        of = train.emotion == EMOTIONS.index(emotion)
        for technique, (face, child) in pairs.items():
            parents = train.row[of & (train.technique == "original") & (train.pixels == face).all(axis=(1, 2))]
            children = train.row[of & (train.technique == technique) & (train.pixels == child).all(axis=(1, 2))]
            assert np.intersect1d(parents, children).size
        assert len({face.tobytes() for face, _ in pairs.values()}) == len(pairs), "one face was shown twice"


def test_identical_pixels_are_listed_with_what_is_counted_and_its_conflicts() -> None:
    duplicates = {
        "policy": "drop_from_train",
        "rows_repeating_another": 11,
        "within": {"test": 0, "train": 4, "validation": 1},
        "across": {"train_test": 2, "train_validation": 3, "validation_test": 3},
        "conflicting_labels": {
            "images": 4,
            "rows": 12,
            "within": {"train": 2, "validation": 1, "test": 0},
            "across": {"train_validation": 2, "train_test": 0, "validation_test": 2},
        },
        "dropped": {"in validation or test": 7},
    }
    table = count_identical(duplicates)
    assert table.iloc[:-1].values.tolist() == [
        ["repeat another", "all splits", "rows", 11, 8],
        ["repeat another", "train", "rows", 4, 2],
        ["repeat another", "validation", "rows", 1, 1],
        ["repeat another", "test", "rows", 0, 0],
        ["in two splits", "train and validation", "images", 3, 2],
        ["in two splits", "train and test", "images", 2, 0],
        ["in two splits", "validation and test", "images", 3, 2],
    ]
    assert table.iloc[-1, :4].tolist() == ["left train", "in validation or test", "rows", 7]
    assert pd.isna(table.at[7, "conflicting"])
    assert count_identical({}).empty


def test_a_profile_from_before_conflicts_were_told_apart_is_drawn_too() -> None:
    earlier = {"within": {"train": 4}, "across": {"train_test": 2}, "conflicting_labels": {"images": 1, "rows": 2}}
    near = pd.DataFrame({"splits": ["train"], "pairs": [0], "pairs_with_two_labels": [0]})
    figure = draw_faults(list_rejected({}), count_identical(earlier), near, read=9)
    assert [len(axes.patches) for part in figure.subfigs for axes in part.axes] == [0, 0, 2, 2, 0]


@pytest.mark.parametrize("strategy", ["class_weight", "oversample"])
def test_other_strategies_are_profiled_too(sample_faces: Path, tmp_path: Path, strategy: str) -> None:
    balance_classes(sample_faces, tmp_path / "balanced", Balance.parse({"strategy": strategy}))
    (tmp_path / "profile").mkdir()
    findings = profile_data(sample_faces, tmp_path / "balanced", tmp_path / "profile")
    assert ("techniques.png" in findings.files) == (strategy == "oversample")
    assert "near-duplicates" in findings.summary()


def test_planted_near_duplicates_across_splits_are_counted(tmp_path: Path) -> None:
    records = {}
    drawn = draw_faces(np.tile(np.arange(7, dtype=np.uint8), 3), [0])
    for number, split in enumerate(SPLITS):
        pixels, emotion = drawn[7 * number : 7 * number + 7].copy(), np.arange(7, dtype=np.uint8)
        if split == "test":
            pixels[0] = np.minimum(drawn[0].astype(int) + 3, 255)  # a brighter copy of a training face: near
            pixels[1] = drawn[1]  # an exact one, which is ingest's to count
        row = np.arange(7, dtype=np.int32) + 7 * number
        with SplitWriter(split_path(tmp_path, split), 48) as writer:
            writer.write(Faces(row, emotion, pixels, np.full(7, "original", object), np.full(7, split == "train")))
        records[split] = writer.record()
    write_profile(tmp_path, Profile({"rows": 21}, 48, records))
    (tmp_path / "profile").mkdir()
    findings = profile_data(tmp_path, tmp_path, tmp_path / "profile")
    pairs = pd.read_csv(tmp_path / "profile" / "near_duplicate_pairs.csv")
    across = {(row, near) for row, near, *splits in pairs.itertuples(index=False) if splits[:2] == ["train", "test"]}
    assert (0, 14) in across
    assert (1, 15) not in across
    assert findings.leaked >= 1


def test_a_hash_that_many_faces_share_has_a_line_of_its_own(tmp_path: Path) -> None:
    face, records = draw_faces(np.zeros(1, np.uint8), [0])[0], {}
    for number, split in enumerate(SPLITS):
        pixels = np.repeat(face[None], 50, axis=0)
        pixels[np.arange(50), 0, 0] = np.arange(50) + 50 * number  # 150 pictures of one hash
        row, emotion = np.arange(50, dtype=np.int32) + 50 * number, (np.arange(50) % 2).astype(np.uint8)
        with SplitWriter(split_path(tmp_path, split), 48) as writer:
            writer.write(Faces(row, emotion, pixels, np.full(50, "original", object), np.full(50, split == "train")))
        records[split] = writer.record()
    write_profile(tmp_path, Profile({"rows": 150}, 48, records))
    (tmp_path / "profile").mkdir()
    findings = profile_data(tmp_path, tmp_path, tmp_path / "profile")
    assert (findings.near_pairs, findings.leaked) == (150 * 149 // 2, 100)
    (group,) = pd.read_csv(tmp_path / "profile" / "near_duplicate_groups.csv").to_dict("records")
    assert {name: group[name] for name in ("row", "faces", "pictures", "labels", *SPLITS)} == {
        "row": 0, "faces": 150, "pictures": 150, "labels": 2, "train": 50, "validation": 50, "test": 50
    }  # fmt: skip
    pairs = pd.read_csv(tmp_path / "profile" / "near_duplicate_pairs.csv")
    assert set(pairs["row"]) == {0}
    assert sorted(pairs["near_row"]) == list(range(1, 150))
    counts = pd.read_csv(tmp_path / "profile" / "near_duplicates.csv").set_index("splits").to_dict("index")
    faces_in = {f"faces_in_{split}": 0 for split in SPLITS}
    assert counts["train"] == faces_in | {"pairs": 1225, "pairs_with_two_labels": 625, "faces_in_train": 50}
    across = {"pairs": 2500, "pairs_with_two_labels": 1250, "faces_in_train": 50, "faces_in_test": 50}
    assert counts["train and test"] == faces_in | across


def test_the_component_logs_to_the_parent_run(
    sample_faces: Path, balanced: Path, new_store: Callable[[Path], str], tmp_path: Path
) -> None:
    from kfp.dsl import Dataset

    from components.profile.component import profile
    from ferkit.tracking import names
    from ferkit.tracking.candidates import NewCandidate, open_candidates
    from ferkit.tracking.owner import Owner, claim

    tracking_uri = new_store(tmp_path)
    client = connect(tracking_uri)
    experiment = client.create_experiment("profile", artifact_location=(tmp_path / "mlruns").as_uri())
    opened = client.create_run(experiment, tags={names.RUN_KIND: "pipeline"})
    parent = opened.info.run_id
    claim(client, opened, Owner("pipeline-run"))
    run_ids = open_candidates(client, opened, [NewCandidate("c0", "lenet-s0", "lenet", {})])
    profile.python_func(  # pyright: ignore[reportFunctionMemberAccess]
        faces=Dataset(uri=str(sample_faces)),
        balanced=Dataset(uri=str(balanced)),
        run_ids=run_ids,
        pipeline_run_id="pipeline-run",
        owner="",
        tracking_uri=tracking_uri,
        code_version="",
    )
    run = client.get_run(parent)
    assert {Path(file.path).name for file in client.list_artifacts(parent, "profile")} >= {"classes.png", "classes.csv"}
    assert run.data.tags["data.digest"] == read_profile(balanced).digest
    assert run.info.status == "RUNNING"
    inputs = {one.dataset.name: one.dataset.digest for one in run.inputs.dataset_inputs}
    assert inputs == {split: record["digest"] for split, record in read_profile(balanced).splits.items()}


def test_what_cannot_be_drawn_fails_no_run(
    sample_faces: Path,
    balanced: Path,
    new_store: Callable[[Path], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    def refuse(*_: object) -> None:
        raise ValueError("cannot reshape array")

    monkeypatch.setattr("components.profile.log_profile.profile_data", refuse)
    client = connect(new_store(tmp_path))
    run_id = client.create_run(client.create_experiment("faces")).info.run_id
    log_profile(client, run_id, str(sample_faces), str(balanced), logging.getLogger("test"))
    run = client.get_run(run_id)
    sentence = "the data's profile could not be drawn: ValueError: cannot reshape array"
    assert (run.data.tags[PROBLEM], run.data.tags["data.digest"]) == (sentence, read_profile(balanced).digest)
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == set(SPLITS)
    assert sentence in caplog.text
    monkeypatch.setattr("components.profile.log_profile.profile_data", full)
    with pytest.raises(OSError, match="No space left"):
        log_profile(client, run_id, str(sample_faces), str(balanced), logging.getLogger("test"))


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")
