"""What trains: which precision a processor gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ferkit.training import hardware
from ferkit.training.candidate import parse_candidate
from ferkit.training.hardware import choose, cpu_has_bfloat16


@pytest.mark.parametrize(
    ("flags", "has"), [("fpu avx2 avx512f avx512_bf16 gfni", True), ("fpu avx2 avx512f avx512_bf161", False)]
)
def test_bfloat16_is_read_from_the_processors_flags(tmp_path: Path, flags: str, has: bool):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: avx512_bf16\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    assert cpu_has_bfloat16(cpuinfo) is has


def test_where_no_flags_can_be_read_there_is_no_bfloat16(tmp_path: Path):
    assert not cpu_has_bfloat16(tmp_path / "absent")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("has", "asked", "precision"),
    [
        (True, "auto", "mixed_bfloat16"),
        (False, "auto", "float32"),
        (True, "float32", "float32"),
        (False, "bfloat16", "mixed_bfloat16"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, has: bool, asked: Any, precision: str
):
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: has)
    assert choose(parse_candidate({"architecture": "lenet", "precision": asked}, {}).train).precision == precision
