"""The profile: every picture and table is there, says what the data says, and reaches the parent run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from components.balance.balance_classes import balance_classes
from components.balance.parameters import Balance
from components.faces import EMOTIONS, read_profile, read_split
from components.profile.measure import measure_faces, pick_augmented
from components.profile.profile_data import Findings, profile_data

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


def test_faces_to_show_augmentation_by_are_those_of_which_all_techniques_made_one(balanced: Path) -> None:
    picked = pick_augmented(balanced)
    assert len(picked) == 3
    assert all(set(one.faces) >= {"original", "mask", "rotation", "blur", "salt"} for one in picked)
    train = read_split(balanced, "train")
    one = picked[0]
    assert any((train.pixels == one.faces["original"]).all(axis=(1, 2)))


@pytest.mark.parametrize("strategy", ["class_weight", "oversample"])
def test_other_strategies_are_profiled_too(sample_faces: Path, tmp_path: Path, strategy: str) -> None:
    balance_classes(sample_faces, tmp_path / "balanced", Balance.parse({"strategy": strategy}))
    (tmp_path / "profile").mkdir()
    findings = profile_data(sample_faces, tmp_path / "balanced", tmp_path / "profile")
    assert ("techniques.png" in findings.files) == (strategy == "oversample")
    assert "near-duplicates" in findings.summary()


def test_planted_near_duplicates_across_splits_are_counted(tmp_path: Path) -> None:
    from components.faces import SPLITS, Faces, Profile, SplitWriter, split_path
    from components.faces.dataset import write_profile
    from components.sample.draw import draw_faces

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


def test_the_component_logs_to_the_parent_run(
    sample_faces: Path, balanced: Path, new_store: Callable[[Path], str], tmp_path: Path
) -> None:
    from kfp.dsl import Dataset

    from components.profile.component import profile
    from components.tracking.store import connect

    tracking_uri = new_store(tmp_path)
    client = connect(tracking_uri)
    experiment = client.create_experiment("profile", artifact_location=(tmp_path / "mlruns").as_uri())
    parent = client.create_run(experiment).info.run_id
    profile.python_func(  # pyright: ignore[reportFunctionMemberAccess]
        faces=Dataset(uri=str(sample_faces)),
        balanced=Dataset(uri=str(balanced)),
        run=[{"parent_run_id": parent}],
        tracking_uri=tracking_uri,
    )
    run = client.get_run(parent)
    assert {Path(file.path).name for file in client.list_artifacts(parent, "profile")} >= {"classes.png", "classes.csv"}
    assert run.data.tags["data.digest"] == read_profile(balanced).digest
    assert run.info.status == "RUNNING"
    inputs = {one.dataset.name: one.dataset.digest for one in run.inputs.dataset_inputs}
    assert inputs == {split: record["digest"] for split, record in read_profile(balanced).splits.items()}
