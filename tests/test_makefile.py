"""What is given to `make` arrives as it was written: no shell and no make sees it as its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def make(tmp_path: Path):
    """Calls a target with a `ferpipe` and a `python` that tell their arguments, one after a NUL each."""
    (tmp_path / ".ready").touch()
    for name in ("ferpipe", "python"):
        tells = tmp_path / name
        tells.write_text("#!/bin/bash\nprintf '%s\\0' \"$@\"\n")
        tells.chmod(0o755)

    def call(target: str, **variables: str) -> list[str]:
        command = ["make", "--silent", "-C", str(ROOT), target, f"BIN={tmp_path}", f"READY={tmp_path / '.ready'}"]
        command += [f"{name}={value}" for name, value in variables.items()]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.split("\0")[:-1]

    return call


@pytest.mark.parametrize(
    "name",
    [
        "fer 2013.csv",
        "it's.csv",
        "x'; touch {marker}; '",
        "$(touch {marker})",
        "$(shell touch {marker})",
        "`touch {marker}`",
        "a$b $(HOME) ${{PATH}} $$.csv",
        'a "b" \\ c.csv',
        "a\ntouch {marker}",
        "a,b#c;d&e|f.csv",
        "-.csv",
    ],
)
def test_a_csv_of_any_name_arrives_and_nothing_of_it_is_run(name: str, make, tmp_path: Path) -> None:
    name = name.format(marker=tmp_path / "marker")
    assert make("run", CSV=name) == ["run", "--csv", name]
    assert make("submit", HOST=name, IMAGE=name) == ["submit", "--host", name, "--image", name]
    assert make("sbom", IMAGE=name) == ["images/sbom.py", name]
    assert make("soak", RUNS=name) == ["-m", "benchmarks.soak", "--runs", name]
    assert not (tmp_path / "marker").exists()


def test_clean_leaves_to_ferpipe_what_has_to_stay(make) -> None:
    assert make("clean") == ["clean", "--older-than", "0"]


def test_settings_are_words_and_what_is_not_given_is_no_argument(make) -> None:
    assert make("run") == ["run"]
    assert make("sbom") == ["images/sbom.py"]
    assert make("soak") == ["-m", "benchmarks.soak", "--runs", "30"]
    assert make("run", SET="train.epochs=3 candidates=[{architecture:'lenet'}]", CONFIG="a b.yaml") == [
        *("run", "--config", "a b.yaml", "--set", "train.epochs=3", "--set", "candidates=[{architecture:'lenet'}]")
    ]
