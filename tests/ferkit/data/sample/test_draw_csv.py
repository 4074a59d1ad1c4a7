"""The drawn sample: the same bytes everywhere, FER2013's form and imbalance, its faults, and faces worth learning."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ferkit.data import EMOTIONS
from ferkit.data.sample import draw_csv, planted
from ferkit.data.sample.csv import DUPLICATES, FAULTS, count_per_emotion
from ferkit.data.sample.draw import draw_faces
from ferkit.errors import UserError


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _usable(row: dict[str, str]) -> bool:
    values = row["pixels"].split(" ")
    return (
        row["emotion"] in set("0123456")
        and row["Usage"] in ("Training", "PublicTest", "PrivateTest")
        and len(values) == 48 * 48
        and all(value.isdigit() and int(value) <= 255 for value in values)
        and len(set(values)) > 1
    )


def test_the_bytes_of_a_sample_never_change(tmp_path: Path) -> None:
    draw_csv(tmp_path / "sample.csv", faces=100, seed=7)
    digest = hashlib.sha256((tmp_path / "sample.csv").read_bytes()).hexdigest()
    assert digest == "ab132cb0e69df63e96c99e44c87260f039653dce527e3d84a68e1262f6918778"


def test_another_seed_draws_other_faces(tmp_path: Path) -> None:
    draw_csv(tmp_path / "0.csv", faces=100, seed=0)
    draw_csv(tmp_path / "1.csv", faces=100, seed=1)
    first, second = ({row["pixels"] for row in _rows(tmp_path / f"{seed}.csv")} for seed in (0, 1))
    assert first & second <= {""}


def test_a_sample_has_the_form_split_and_shares_of_fer2013(sample_csv: Path) -> None:
    with sample_csv.open() as file:
        assert file.readline() == "emotion,pixels,Usage\n"
    usable = [row for row in _rows(sample_csv) if _usable(row)]
    copies = Counter(usage for usage, _ in DUPLICATES.values())
    per_split = Counter(row["Usage"] for row in usable)
    assert {usage: per_split[usage] - copies[usage] for usage in per_split} == {
        "Training": 560,
        "PublicTest": 70,
        "PrivateTest": 70,
    }
    per_emotion = Counter(row["emotion"] for row in usable if row["Usage"] == "Training")
    assert per_emotion["3"] >= 140
    assert 9 <= per_emotion["1"] <= 11
    assert all(
        any(row["emotion"] == str(label) for row in usable if row["Usage"] == "PublicTest") for label in range(7)
    )


def test_counts_per_emotion_follow_fer2013_and_sum_exactly() -> None:
    assert count_per_emotion(35887).tolist() == [4953, 548, 5121, 8988, 6077, 4002, 6198]
    for faces in (100, 997, 5000):
        counts = count_per_emotion(faces)
        assert counts.sum() == faces
        assert counts.min() >= 1


def test_every_fault_and_every_duplicate_is_planted(sample_csv: Path) -> None:
    rows = _rows(sample_csv)
    assert planted(700) == dict.fromkeys([*FAULTS, *DUPLICATES], 1)
    assert planted(5000) == dict.fromkeys([*FAULTS, *DUPLICATES], 5)
    assert len(rows) == 700 + len(FAULTS) + len(DUPLICATES)
    assert sum(not _usable(row) for row in rows) == len(FAULTS)
    seen: dict[str, list[dict[str, str]]] = {}
    for row in filter(_usable, rows):
        seen.setdefault(row["pixels"], []).append(row)
    repeated = [group for group in seen.values() if len(group) > 1]
    assert len(repeated) == len(DUPLICATES)
    kinds = Counter(
        (tuple(sorted(row["Usage"] for row in group)), len({row["emotion"] for row in group})) for group in repeated
    )
    assert kinds == {
        (("Training", "Training"), 1): 1,
        (("Training", "Training"), 2): 1,
        (("PublicTest", "Training"), 1): 1,
        (("PrivateTest", "Training"), 1): 1,
        (("PrivateTest", "Training"), 2): 1,
    }


def test_a_face_depends_on_its_own_number_and_label_only() -> None:
    labels = np.arange(40, dtype=np.uint8) % 7
    faces = draw_faces(labels, [3])
    np.testing.assert_array_equal(draw_faces(labels[:21], [3]), faces[:21])
    other = labels.copy()
    other[5] = (other[5] + 1) % 7
    changed = (draw_faces(other, [3]) != faces).any(axis=(1, 2))
    assert np.flatnonzero(changed).tolist() == [5]


def test_expressions_differ_where_they_should() -> None:
    """Mean faces: a mouth opens in surprise, teeth show in a smile, brows come down in anger."""
    faces = draw_faces(np.repeat(np.arange(7, dtype=np.uint8), 160), [0]).reshape(7, 160, 48, 48).mean(axis=1)
    mean = {name: faces[label] - faces.mean(axis=0) for label, name in enumerate(EMOTIONS)}
    mouth, above_eyes = np.s_[32:38, 21:27], np.s_[17:21, 12:36]
    assert mean["surprise"][mouth].mean() < -20
    assert mean["happy"][mouth].mean() > 8
    assert mean["angry"][above_eyes].mean() < mean["surprise"][above_eyes].mean() - 10


def test_a_linear_rule_learns_some_of_it_and_not_enough() -> None:
    """The sample must tell good models from bad: a ridge regression is far above chance, far below 0.9."""
    labels = np.tile(np.arange(7, dtype=np.uint8), 150)
    train, test = (_halve_and_standardise(draw_faces(labels, [seed])) for seed in (1, 2))
    weights = np.linalg.solve(train.T @ train + 100 * np.eye(24 * 24), train.T @ np.eye(7)[labels])
    assert 0.5 < ((test @ weights).argmax(axis=1) == labels).mean() < 0.8


def _halve_and_standardise(faces: np.ndarray) -> np.ndarray:
    small = faces.reshape(-1, 24, 2, 24, 2).mean(axis=(2, 4)).reshape(len(faces), -1)
    return (small - small.mean(axis=1, keepdims=True)) / small.std(axis=1, keepdims=True)


def test_too_few_faces_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"at least 100 faces .*received 99"):
        draw_csv(tmp_path / "sample.csv", faces=99)
    assert list(tmp_path.iterdir()) == []


def test_a_drawing_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sample.csv"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("ferkit.data.sample.csv.draw_faces", fail)
    with pytest.raises(OSError, match="disk full"):
        draw_csv(path, faces=100)
    assert [entry.name for entry in tmp_path.iterdir()] == ["sample.csv"]
    assert path.read_text() == "old"


def test_drawing_imports_nothing_heavy() -> None:
    code = "import sys, ferkit.data.sample; print({'tensorflow', 'mlflow', 'kfp', 'pandas'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "set()"
