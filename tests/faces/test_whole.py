"""Output folders appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.bad_input import BadInput
from components.faces import writing_whole
from components.faces.dataset import PROFILE


def test_appears_at_the_end_only(tmp_path: Path):
    with writing_whole(tmp_path / "a" / "faces") as part:
        (part / PROFILE).write_text("{}")
        assert not (tmp_path / "a" / "faces").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["faces"]


def test_a_failure_leaves_nothing_and_an_earlier_data_set_alone(tmp_path: Path):
    with writing_whole(tmp_path / "faces") as part:
        (part / PROFILE).write_text("first")
    with pytest.raises(ZeroDivisionError), writing_whole(tmp_path / "faces") as part:
        (part / PROFILE).write_text(str(1 // 0))
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    assert (tmp_path / "faces" / PROFILE).read_text() == "first"


def test_clears_what_a_dead_owner_left_and_not_what_a_living_one_holds(tmp_path: Path):
    dead = tmp_path / ".faces-part-dead"
    dead.mkdir()
    with writing_whole(tmp_path / "faces") as first:
        assert not dead.exists()
        with writing_whole(tmp_path / "faces") as second:
            assert first.exists()
            (second / PROFILE).write_text("second")
        (first / PROFILE).write_text("first")
    assert (tmp_path / "faces" / PROFILE).read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_refuses_a_file_in_the_way(tmp_path: Path):
    (tmp_path / "faces").touch()
    with pytest.raises(BadInput, match="is a file"), writing_whole(tmp_path / "faces"):
        pass
