"""Output folders appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ferkit.data import PROFILE, atomic_folder
from ferkit.errors import UserError


def test_appears_at_the_end_only(tmp_path: Path):
    with atomic_folder(tmp_path / "a" / "faces") as part:
        (part / PROFILE).write_text("{}")
        assert not (tmp_path / "a" / "faces").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["faces"]


def test_a_failure_leaves_nothing_and_an_earlier_data_set_alone(tmp_path: Path):
    with atomic_folder(tmp_path / "faces") as part:
        (part / PROFILE).write_text("first")
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "faces") as part:
        (part / PROFILE).write_text(str(1 // 0))
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    assert (tmp_path / "faces" / PROFILE).read_text() == "first"


def test_clears_what_a_dead_owner_left_and_not_what_a_living_one_holds(tmp_path: Path):
    dead = tmp_path / ".faces-part-dead"
    dead.mkdir()
    with atomic_folder(tmp_path / "faces") as first:
        assert not dead.exists()
        with atomic_folder(tmp_path / "faces") as second:
            assert first.exists()
            (second / PROFILE).write_text("second")
        (first / PROFILE).write_text("first")
    assert (tmp_path / "faces" / PROFILE).read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_a_second_writer_waits_until_the_first_has_locked_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make = tempfile.mkdtemp

    def make_while_another_tries(**arguments: Any) -> str:
        made = make(**arguments)
        other = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # it would clear away what has no lock yet
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", make_while_another_tries)
    with atomic_folder(tmp_path / "faces") as part:
        (part / PROFILE).write_text("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_refuses_a_file_in_the_way(tmp_path: Path):
    (tmp_path / "faces").touch()
    with pytest.raises(UserError, match="is a file"), atomic_folder(tmp_path / "faces"):
        pass


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from ferkit.data import atomic_folder
from ferkit.data import PROFILE

moment, target = sys.argv[1:]
kill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
replace, calls = Path.replace, []

def counted(self, to):
    calls.append(to)
    if moment == f"before rename {len(calls)}":
        kill()
    return replace(self, to)

Path.replace = counted
if moment == "while the earlier one is removed":
    shutil.rmtree = kill
with atomic_folder(target) as part:
    for name in ("train.parquet", PROFILE):
        (part / name).write_text("second")
"""


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        ("before rename 1", "first"),
        ("before rename 2", None),
        ("while the earlier one is removed", "second"),
    ],
)
def test_killed_while_it_replaces_an_earlier_data_set(moment: str, left: str | None, tmp_path: Path):
    """Between the two renames there is none; then the next run has the earlier one back, whether or not it succeeds."""

    def held() -> set[str]:
        return {(tmp_path / "faces" / name).read_text() for name in ("train.parquet", PROFILE)}

    def write(text: str) -> None:
        with atomic_folder(tmp_path / "faces") as part:
            for name in ("train.parquet", PROFILE):
                (part / name).write_text(text)

    write("first")
    killed = subprocess.run([sys.executable, "-c", KILLED, moment, str(tmp_path / "faces")], check=False)
    assert killed.returncode == -signal.SIGKILL
    if left:
        assert held() == {left}
    else:
        assert not (tmp_path / "faces").exists()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "faces"):
        print(1 // 0)
    assert held() == {left or "first"}
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    write("third")
    assert held() == {"third"}


def test_half_of_an_earlier_data_set_is_never_put_back(tmp_path: Path):
    half = tmp_path / ".faces-old-x"
    half.mkdir()
    (half / "train.parquet").write_text("first")
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "faces"):
        print(1 // 0)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_data_set_whose_mover_is_alive_stays_where_it_is(tmp_path: Path):
    aside = tmp_path / ".faces-old-x"
    aside.mkdir()
    (aside / PROFILE).write_text("first")
    lock = os.open(aside, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with atomic_folder(tmp_path / "faces") as part:
        (part / PROFILE).write_text("second")
    os.close(lock)
    assert (aside / PROFILE).read_text() == "first"
    with atomic_folder(tmp_path / "faces") as part:
        assert not aside.exists()
        assert (tmp_path / "faces" / PROFILE).read_text() == "second"
        (part / PROFILE).write_text("third")


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "faces").symlink_to(tmp_path / "disk" / "faces")
    for text in ("first", "second"):
        with atomic_folder(tmp_path / "faces") as part:
            (part / PROFILE).write_text(text)
        assert (tmp_path / "disk" / "faces" / PROFILE).read_text() == text
    assert (tmp_path / "faces").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["faces"]
