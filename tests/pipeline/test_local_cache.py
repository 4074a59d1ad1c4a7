"""What becomes of the local cache's entries when a data set was damaged, asked of kfp's own cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kfp import dsl
from kfp.local.cache import LocalCache

from ferkit.data import read_split, write_profile
from ferkit.data.dataset import read_profile, split_path
from ferkit.data.splits import find_damage
from ferkit.errors import UserError
from pipeline.local_cache import forget_damaged
from pipeline.local_kfp import LastUse


@pytest.fixture
def folder(sample_faces: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample_faces, tmp_path / "faces"))


def cut(folder: Path) -> None:
    path = split_path(folder, "train")
    path.write_bytes(path.read_bytes()[:-100])


def empty(folder: Path) -> None:
    split_path(folder, "test").write_bytes(b"")


def remove(folder: Path) -> None:
    split_path(folder, "validation").unlink()


def swap(folder: Path) -> None:
    split_path(folder, "test").write_bytes(split_path(folder, "train").read_bytes())


def break_the_profile(folder: Path) -> None:
    path = folder / "profile.json"
    path.write_bytes(path.read_bytes()[:50])


def test_an_entry_that_is_used_is_as_young_as_one_that_was_made(sample_faces: Path, tmp_path: Path):
    cache = LastUse(str(tmp_path / "cache"))
    cache.put("used", {"faces": dsl.Dataset(name="faces", uri=str(sample_faces))})
    cache.put("gone", {"faces": dsl.Dataset(name="faces", uri=str(tmp_path / "nowhere"))})
    for key in ("used", "gone"):
        os.utime(tmp_path / "cache" / f"{key}.json", (0, 0))
    assert cache.get("used") is not None
    assert cache.get("gone") is cache.get("never") is None
    ages = {path.stem: path.stat().st_mtime for path in (tmp_path / "cache").iterdir()}
    assert ages["used"] > ages["gone"] == 0


@pytest.mark.parametrize("damage", [cut, empty, remove, swap, break_the_profile])
def test_a_damaged_data_set_is_forgotten_and_a_whole_one_is_kept(
    damage: Callable[[Path], None], folder: Path, sample_faces: Path, tmp_path: Path
):
    kept = LocalCache(str(tmp_path / "cache"))
    kept.put("damaged", {"faces": dsl.Dataset(name="faces", uri=str(folder))})
    kept.put("whole", {"faces": dsl.Dataset(name="faces", uri=str(sample_faces))})
    kept.put("gone", {"faces": dsl.Dataset(name="faces", uri=str(tmp_path / "nowhere"))})
    kept.put("number", {"Output": 3})
    assert forget_damaged(tmp_path / "cache") == []
    assert kept.get("damaged") is not None
    damage(folder)
    [said] = forget_damaged(tmp_path / "cache")
    assert said.startswith(str(folder))
    assert kept.get("damaged") is None
    assert kept.get("whole") is not None
    assert kept.get("number") == {"Output": 3}


def test_no_cache_and_an_entry_of_nonsense_are_nothing_to_forget(tmp_path: Path):
    assert forget_damaged(tmp_path / "none") == []
    (tmp_path / "nonsense.json").write_text("[1")
    assert forget_damaged(tmp_path) == []


def test_a_damaged_data_set_that_a_step_is_given_is_one_sentence(folder: Path):
    cut(folder)
    with pytest.raises(UserError, match=r"train\.parquet: no whole Parquet file \(.*\); make the data set again$"):
        read_split(folder, "train")
    break_the_profile(folder)
    with pytest.raises(UserError, match=r"profile\.json: no whole profile .*; make the data set again$"):
        read_profile(folder)


def test_a_profile_without_a_split_is_damage(folder: Path):
    profile = read_profile(folder)
    profile.splits.pop("test")
    write_profile(folder, profile)
    assert "test.parquet: has" in find_damage(folder)
