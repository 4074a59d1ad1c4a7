"""A data set folder in, a balanced one out: whole or not at all, the same every time, train only."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from components.balance import balance_classes as module
from components.balance.balance_classes import LeakedParent, balance_classes, prove_parents, weigh_classes
from components.balance.draws import key_of
from components.balance.parameters import Balance
from components.balance.techniques import blur_at_random, flip, mask, rotate_at_random, salt_at_random
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
from ferkit.data.sample.draw import draw_faces
from ferkit.errors import UserError

COUNTS = {"train": (30, 3, 28, 50, 33, 22, 35), "validation": (4, 1, 4, 6, 4, 3, 4), "test": (4, 1, 4, 6, 4, 3, 4)}


def make_folder(folder: Path, times: int = 1) -> Path:
    """A data set folder of drawn faces; `times` as many training faces."""
    folder.mkdir()
    records, start = {}, 0
    for number, split in enumerate(SPLITS):
        repeat = times if split == "train" else 1
        emotion = np.tile(np.repeat(np.arange(7, dtype=np.uint8), COUNTS[split]), repeat)
        pixels = np.tile(draw_faces(emotion[: sum(COUNTS[split])], [number]), (repeat, 1, 1))
        n = len(emotion)
        row = np.arange(start, start + n, dtype=np.int32)
        in_train = np.full(n, split == "train")
        with SplitWriter(split_path(folder, split), 48) as writer:
            writer.write(Faces(row, emotion, pixels, np.full(n, "original", object), in_train))
        records[split] = writer.record()
        start += n
    source = {"csv": "drawn", "sha256": "0" * 64, "version": "sha256:0", "rows": start}
    write_profile(folder, Profile(source, 48, records, {"pixel count": 3}, {"within": {"train": 2}}))
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("ingested") / "faces")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_augment_makes_every_emotion_as_frequent_as_the_most_frequent(faces: Path, tmp_path: Path) -> None:
    profile = balance_classes(faces, tmp_path / "balanced", Balance())
    train = read_split(tmp_path / "balanced", "train")
    assert np.bincount(train.emotion).tolist() == [50] * 7
    assert profile.splits["train"]["per_emotion"] == dict.fromkeys(EMOTIONS, 50)
    assert Counter(train.technique) == {
        "original": 201,
        **{name: sum(counts.values()) for name, counts in profile.balance["made"].items()},
    }


def test_every_new_face_is_its_parent_changed_by_the_technique_it_names(faces: Path, tmp_path: Path) -> None:
    """Made anew here, one by one: a face's random numbers come from the seed, its parent, and which child it is."""
    make = {
        "original": lambda face, key: face,
        "mask": lambda face, key: mask(face),
        "rotation": lambda face, key: rotate_at_random(face, key, 30),
        "blur": lambda face, key: blur_at_random(face, key, 0.6, 2.0),
        "flip": lambda face, key: flip(face),
        "salt": lambda face, key: salt_at_random(face, key, 0.1),
    }
    balance_classes(faces, tmp_path / "balanced", Balance(seed=5, rotation=30, blur=(0.6, 2.0), salt=0.1))
    train, source = read_split(tmp_path / "balanced", "train"), read_split(faces, "train")
    position = {row: place for place, row in enumerate(source.row.tolist())}
    children = Counter()
    for row, emotion, face, technique in zip(
        train.row.tolist(), train.emotion, train.pixels, train.technique, strict=True
    ):
        parent = position[row]
        assert source.emotion[parent] == emotion
        key = key_of(5, np.array([parent]), np.array([children[parent]]))
        np.testing.assert_array_equal(face, make[technique](source.pixels[parent : parent + 1], key)[0], technique)
        children[parent] += technique != "original"
    assert set(train.technique) == set(make)
    assert not train.in_train[train.technique != "original"].any()


def test_no_two_faces_are_the_same(faces: Path, tmp_path: Path) -> None:
    balance_classes(faces, tmp_path / "balanced", Balance(per_class=60))
    train = read_split(tmp_path / "balanced", "train")
    # The sigma of a blur is one of 11, so with 20 children of each of 3 parents a few may meet; nothing else does.
    rest = train.pixels[train.technique != "blur"]
    assert len({face.tobytes() for face in rest}) == len(rest)


def test_oversample_repeats_faces(faces: Path, tmp_path: Path) -> None:
    profile = balance_classes(faces, tmp_path / "balanced", Balance(strategy="oversample", per_class=70))
    train, source = read_split(tmp_path / "balanced", "train"), read_split(faces, "train")
    assert np.bincount(train.emotion).tolist() == [70] * 7
    assert set(train.technique) == {"original", "copy"}
    pixels = dict(zip(source.row.tolist(), source.pixels, strict=True))
    assert all((face == pixels[row]).all() for row, face in zip(train.row.tolist(), train.pixels, strict=True))
    assert train.in_train.all()
    assert sum(profile.balance["made"]["copy"].values()) == 490 - 201


def test_class_weight_leaves_the_faces_and_says_what_each_weighs(faces: Path, tmp_path: Path) -> None:
    profile = balance_classes(faces, tmp_path / "balanced", Balance(strategy="class_weight"))
    source = read_split(faces, "train")
    expected = compute_class_weight("balanced", classes=np.arange(7), y=source.emotion)
    np.testing.assert_allclose(list(profile.balance["class_weight"].values()), expected)
    assert list(profile.balance["class_weight"]) == list(EMOTIONS)
    assert _files(tmp_path / "balanced")["train.parquet"] == _files(faces)["train.parquet"]


def test_weights_average_to_1_over_the_faces_also_where_an_emotion_is_missing() -> None:
    counts: dict[str, int] = dict(zip(EMOTIONS, (10, 0, 20, 30, 5, 1, 2), strict=True))
    weights = weigh_classes(counts)
    assert weights["disgust"] == 0
    assert sum(weights[name] * count for name, count in counts.items()) == pytest.approx(68)


def test_none_changes_nothing_but_the_record(faces: Path, tmp_path: Path) -> None:
    profile = balance_classes(faces, tmp_path / "balanced", Balance(strategy="none"))
    before, after = _files(faces), _files(tmp_path / "balanced")
    assert {name for name in before if before[name] != after[name]} == {"profile.json"}
    assert dataclasses.replace(profile, balance={}) == read_profile(faces)


@pytest.mark.parametrize("strategy", ["augmented_oversampling", "oversample", "class_weight", "none"])
def test_validation_test_and_what_ingest_recorded_are_kept(faces: Path, tmp_path: Path, strategy: str) -> None:
    balance_classes(faces, tmp_path / "balanced", Balance.parse({"strategy": strategy}))
    before, after = _files(faces), _files(tmp_path / "balanced")
    assert before["validation.parquet"] == after["validation.parquet"]
    assert before["test.parquet"] == after["test.parquet"]
    old, new = json.loads(before["profile.json"]), json.loads(after["profile.json"])
    for key in ("source", "side", "rejected", "duplicates"):
        assert old[key] == new[key]
    assert old["splits"]["test"] == new["splits"]["test"]
    assert new["balance"]["parameters"]["strategy"] == strategy


def test_the_same_seed_produces_the_same_bytes_and_another_seed_others(faces: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("second", 3), ("other", 4)):
        balance_classes(faces, tmp_path / name, Balance(seed=seed))
    assert _files(tmp_path / "first") == _files(tmp_path / "second")
    digests = [read_profile(tmp_path / name).splits["train"]["digest"] for name in ("first", "other")]
    assert digests[0] != digests[1]


def test_the_digest_of_a_balanced_train_never_changes(faces: Path, tmp_path: Path) -> None:
    """Pinned, as machines that balance the same faces must agree."""
    profile = balance_classes(faces, tmp_path / "balanced", Balance(seed=1))
    assert profile.splits["train"]["digest"] == "26db90dab51e4e13c901d60524d6a6f7"


def test_the_number_of_cores_changes_no_byte(faces: Path, tmp_path: Path) -> None:
    """1 core and 3: as `usable_cores` counts them, as Arrow does, and as many are of them for the process."""
    code = (
        "import os, sys\n"
        "from ferkit import cores\n"
        "cores.usable_cores = lambda: int(sys.argv[3])\n"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[3])])\n"
        "import pyarrow; pyarrow.set_cpu_count(int(sys.argv[3]))\n"
        "from components.balance.balance_classes import *\n"
        "balance_classes(sys.argv[1], sys.argv[2], Balance(seed=1, per_class=700))"
    )
    for count in (1, 3):
        subprocess.run([sys.executable, "-c", code, str(faces), str(tmp_path / str(count)), str(count)], check=True)
    assert _files(tmp_path / "1") == _files(tmp_path / "3")


@pytest.mark.parametrize("chunk", [1, 17])
def test_chunks_do_not_change_a_face(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    whole = balance_classes(faces, tmp_path / "whole", Balance())
    monkeypatch.setattr(module, "CHUNK", chunk)
    assert balance_classes(faces, tmp_path / "pieces", Balance()).splits == whole.splits
    one, other = (read_split(tmp_path / name, "train") for name in ("whole", "pieces"))
    assert sorted(zip(one.row.tolist(), one.technique, strict=True)) == sorted(
        zip(other.row.tolist(), other.technique, strict=True)
    )


def test_the_proof_finds_a_face_of_another_split(faces: Path, tmp_path: Path) -> None:
    balance_classes(faces, tmp_path / "balanced", Balance())
    prove_parents(faces, tmp_path / "balanced")
    _append_to_train(tmp_path / "balanced", row=int(read_split(faces, "test").row[0]), technique="flip")
    with pytest.raises(LeakedParent, match="is no face of train"):
        prove_parents(faces, tmp_path / "balanced")


def test_the_proof_finds_a_wrong_label_and_a_missing_face(faces: Path, tmp_path: Path) -> None:
    balance_classes(faces, tmp_path / "balanced", Balance())
    disgusted = int(read_split(faces, "train").row[30])
    _append_to_train(tmp_path / "balanced", row=disgusted, technique="flip")  # labelled angry
    with pytest.raises(LeakedParent, match=f"row {disgusted} "):
        prove_parents(faces, tmp_path / "balanced")
    balance_classes(faces, tmp_path / "balanced", Balance())
    _append_to_train(tmp_path / "balanced", row=0, technique="original")
    with pytest.raises(LeakedParent, match="every face of train once"):
        prove_parents(faces, tmp_path / "balanced")


def _append_to_train(folder: Path, row: int, technique: str) -> None:
    train = read_split(folder, "train")
    one = Faces(
        np.array([row], np.int32),
        np.array([0], np.uint8),
        train.pixels[:1],
        np.array([technique], object),
        np.array([False]),
    )
    with SplitWriter(split_path(folder, "train"), 48) as writer:
        writer.write(train)
        writer.write(one)


def test_a_failed_proof_leaves_nothing(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(chunk: Faces, *_: object) -> Faces:
        return dataclasses.replace(chunk, row=chunk.row + 10_000)

    monkeypatch.setattr(module, "_make", leak)
    with pytest.raises(LeakedParent):
        balance_classes(faces, tmp_path / "balanced", Balance())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="use the output folder of ingest or balance"):
        balance_classes(tmp_path, tmp_path / "balanced", Balance())


def test_killed_at_any_moment_there_is_a_whole_output_or_none(tmp_path: Path) -> None:
    faces = make_folder(tmp_path / "faces", times=15)
    target = tmp_path / "out" / "balanced"
    code = (
        "import sys; from components.balance.balance_classes import *\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "balance_classes(sys.argv[1], sys.argv[2], Balance(seed=1)); print('done', flush=True)"
    )
    started = time.monotonic()
    expected = balance_classes(faces, tmp_path / "expected", Balance(seed=1))
    takes = time.monotonic() - started
    outcomes = Counter()
    for share in (0.02, 0.15, 0.4, 0.7, 0.9, 1.1):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(faces), str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(takes * share)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        whole = target.exists()
        outcomes["whole" if whole else "none"] += 1
        if whole:
            assert _files(target) == _files(tmp_path / "expected")
    assert outcomes["none"], "the kills came too late to show anything"
    assert balance_classes(faces, target, Balance(seed=1)) == expected
    assert _files(target) == _files(tmp_path / "expected")
    assert [path.name for path in target.parent.iterdir()] == ["balanced"], "what the killed ones left was not cleared"


def test_killed_while_it_replaces_an_earlier_output_that_is_put_back_or_replaced(
    faces: Path, tmp_path: Path, kill_between_renames: Callable[..., None]
) -> None:
    """SIGKILL between the two renames: there is no output, until the next run puts the earlier one back."""
    target = tmp_path / "out" / "balanced"
    balance_classes(faces, target, Balance(seed=1))
    earlier = _files(target)
    code = (
        "from components.balance.balance_classes import *\nbalance_classes(sys.argv[1], sys.argv[2], Balance(seed=2))"
    )
    kill_between_renames(code, str(faces), str(target))
    assert not target.exists()
    with pytest.raises(UserError, match="no face of"):
        balance_classes(_without_disgust(faces, tmp_path), target, Balance())
    assert _files(target) == earlier
    again = balance_classes(faces, target, Balance(seed=2))
    assert read_profile(target) == again
    assert _files(target) != earlier
    assert [path.name for path in target.parent.iterdir()] == ["balanced"]


def _without_disgust(faces: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(faces, tmp_path / "no-disgust"))
    train = read_split(faces, "train")
    with SplitWriter(split_path(folder, "train"), 48) as writer:
        writer.write(train.take(train.emotion != EMOTIONS.index("disgust")))
    return folder


def test_the_component_writes_its_output_and_tells_the_figures(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from kfp.dsl import Dataset

    from components.balance.component import balance

    balanced = Dataset(uri=str(tmp_path / "balanced"))
    balance.python_func(  # pyright: ignore[reportFunctionMemberAccess]
        faces=Dataset(uri=str(faces)), code_version="", parameters={"seed": 0.0}, balanced=balanced
    )
    assert "augmented_oversampling: 201 training faces -> 350, 50 of every emotion" in capsys.readouterr().out
    assert read_profile(tmp_path / "balanced").digest == balanced.metadata["data.digest"]
