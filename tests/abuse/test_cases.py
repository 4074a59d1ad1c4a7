"""Every case of `cases.py` gets what it should; the kinds they stand for are tested where their mechanisms are."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from components.ingest.ingest import ingest_csv
from components.ingest.parameters import Ingest
from ferkit.data import Profile, read_profile
from ferkit.errors import UserError
from ferkit.serving.pyfunc import read_picture
from pipeline.cli import cli
from pipeline.layers import read_parameters
from tests.abuse.cases import draw_cases

if TYPE_CHECKING:
    from tests.conftest import LoggedModel


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases") / "cases"
    draw_cases(folder)
    return folder


@pytest.fixture(scope="module")
def plain(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return ingest_csv(str(cases / "plain.csv"), tmp_path_factory.mktemp("plain") / "faces")


READ = (
    "emotion_float",
    "usage_lower",
    "pixels_float",
    "pixels_brackets",
    "pixels_commas_quoted",
    "note_with_line_feed",
    "trailing_commas",
)


@pytest.mark.parametrize("name", READ)
def test_a_csv_in_which_nothing_is_in_doubt_has_the_digests_of_the_plain_one(
    name: str, cases: Path, plain: Profile, tmp_path: Path
) -> None:
    profile = ingest_csv(str(cases / f"{name}.csv"), tmp_path / "faces")
    assert profile.side == 48
    assert profile.source["rows"] == 140
    assert (profile.digest, profile.splits, profile.rejected) == (plain.digest, plain.splits, {})


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        ("rgba48", ["four (red, green, blue and alpha) for each of 48 x 48", "every fourth", 'Image.convert("L")']),
        ("pixels_scaled", ["values from 0 to 0.5", "multiply them by 255 and round them"]),
        ("usage_empty", ["its column Usage is empty in all 140 rows", "--set ingest.split_by=seed"]),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused_with_what_is_in_it_and_the_cure(
    name: str, sentences: list[str], cases: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refused:
        ingest_csv(str(cases / f"{name}.csv"), tmp_path / "faces")
    assert all(sentence in str(refused.value) for sentence in sentences), refused.value
    assert list(tmp_path.iterdir()) == []


def test_an_empty_usage_is_split_by_seed_when_asked_and_that_is_recorded(cases: Path, tmp_path: Path) -> None:
    profile = ingest_csv(str(cases / "usage_empty.csv"), tmp_path / "faces", Ingest.parse({"split_by": "seed"}))
    assert {split: found["rows"] for split, found in profile.splits.items()} == {
        "train": 112,
        "validation": 14,
        "test": 14,
    }
    assert profile.source["split"] == "by seed 0"


def test_of_two_sets_in_an_archive_one_is_read_which_is_said_and_recorded_or_chosen(
    cases: Path, plain: Profile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("ferpipe").addHandler(caplog.handler)  # a step that ran in this process keeps it from the root
    archive = cases / "two_sets.zip"
    ingest_csv(str(archive), tmp_path / "first")
    assert "ckextended.csv was read, and fer2013.csv was not" in caplog.text
    recorded = read_profile(tmp_path / "first").source
    assert (recorded["member"], recorded["other_members"]) == ("ckextended.csv", ["fer2013.csv"])
    caplog.clear()
    chosen = ingest_csv(f"{archive}#fer2013.csv", tmp_path / "chosen")
    assert chosen.digest == plain.digest
    assert chosen.source["member"] == "fer2013.csv"
    assert not caplog.text
    logging.getLogger("ferpipe").removeHandler(caplog.handler)


def predict(model: LoggedModel, *arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["predict", "--tracking-uri", model.tracking_uri, *map(str, arguments)])


def test_six_endings_are_six_answers(cases: Path, logged_model: LoggedModel) -> None:
    result = predict(logged_model, cases / "endings", "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["faces"]) == 6


@pytest.mark.parametrize("name", ["photo[final].png", "z[/b].png", "=1+1.png"])
def test_a_name_stays_as_it_is_and_is_inert_in_a_csv(
    name: str, cases: Path, logged_model: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cases)
    answers = tmp_path / "answers.csv"
    for more in ([], ["--output", str(answers)]):
        result = predict(logged_model, name, *more)
        assert result.exit_code == 0, result.output
        assert name in result.stdout
    written = answers.read_text().splitlines()[1]
    assert name in written
    assert written[0] != "="


@pytest.mark.parametrize(("name", "sentence"), [("transparent", "a blank picture"), ("large_rgba", "too large")])
def test_a_picture_that_shows_nothing_or_too_much_is_refused(
    name: str, sentence: str, cases: Path, logged_model: LoggedModel
) -> None:
    result = predict(logged_model, cases / f"{name}.png")
    assert result.exit_code == 1
    assert f"{name}.png: " in result.stderr
    assert sentence in result.stderr


def test_twelve_bits_in_sixteen_are_scaled_by_the_pictures_own_range(cases: Path) -> None:
    with (cases / "twelve_bits_in_sixteen.png").open("rb") as deep, (cases / "photo[final].png").open("rb") as usual:
        assert (read_picture(deep, 48) == read_picture(usual, 48)).all()


def test_a_large_picture_takes_no_more_memory_than_a_small_one(cases: Path) -> None:
    script = (
        "import resource, sys\nfrom ferkit.serving.pyfunc import NotAFace, read_face\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_face(open(name, 'rb').read(), 48)\n"
        "    except NotAFace: pass\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    names = [str(cases / "photo[final].png"), str(cases / "large_rgba.png")]
    ran = subprocess.run([sys.executable, "-c", script, *names], capture_output=True, text=True, check=True)
    small, large = map(int, ran.stdout.split())
    assert large - small < 150


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("latin1", "latin1.yaml: is not UTF-8 text (byte 0xe9 on line 1); save it as UTF-8"),
        ("date", "train.epochs: "),
        ("number_as_key", "the key '1' is no text"),
        ("deep", "levels deep"),
        ("twice", "the key 'train' is set twice"),
        ("key_twice", "the key 'epochs' is set twice"),
        ("aliases", "by its aliases"),
    ],
)
def test_a_config_that_cannot_be_read_is_refused_in_one_short_sentence(name: str, sentence: str, cases: Path) -> None:
    path, began = cases / f"{name}.yaml", time.process_time()
    result = CliRunner().invoke(cli, ["run", "--config", str(path)])
    assert time.process_time() - began < 10  # of this process, in which TensorFlow may have to be imported; was minutes
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr) < 400 + len(str(path))
    assert result.stderr.count("\n") == 1


def test_utf_16_with_its_mark_is_read(cases: Path) -> None:
    assert read_parameters(None, cases / "utf16.yaml").train.epochs == 1
