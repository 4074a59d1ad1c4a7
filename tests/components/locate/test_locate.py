"""locate: what it says changes when the CSV's bytes change, and only then."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from components.locate.component import locate


def version_of(csv: Path | str) -> str:
    return locate.python_func(csv=str(csv), code_version="")  # pyright: ignore[reportFunctionMemberAccess]


def test_a_file_is_known_by_its_bytes(tmp_path: Path):
    csv = tmp_path / "faces.csv"
    csv.write_bytes(b"emotion,pixels,Usage\n0,1 2 3 4,Training\n")
    first = version_of(csv)
    assert first == f"sha256:{hashlib.sha256(csv.read_bytes()).hexdigest()}"
    os.utime(csv, (0, 0))
    assert version_of(csv) == first
    csv.write_bytes(csv.read_bytes().replace(b"4", b"5"))  # as long
    assert version_of(csv) != first


def test_the_sample_is_known_by_how_it_is_drawn():
    assert version_of("sample") == version_of("sample") != ""


def test_what_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        version_of(tmp_path / "nowhere.csv")
    assert ended.value.code not in (0, None)
    assert "nowhere.csv" in capsys.readouterr().out + str(ended.value)
