"""`ferpipe predict`, as a person calls it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from components.faces import EMOTIONS, read_split
from components.model.load import load_face_model
from ferkit.tracking.store import connect
from pipeline.cli import cli

if TYPE_CHECKING:
    from tests.conftest import LoggedModel


@pytest.fixture
def pixels(sample_faces: Path) -> np.ndarray:
    return read_split(sample_faces, "test").pixels[:3]


@pytest.fixture
def folder(pixels: np.ndarray, tmp_path: Path) -> Path:
    (tmp_path / "faces" / "more").mkdir(parents=True)
    for number, face in enumerate(pixels):
        Image.fromarray(face).save(tmp_path / "faces" / ("more" if number == 2 else "") / f"{number}.png")
    return tmp_path / "faces"


def ferpipe(model: LoggedModel, *arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["predict", "--tracking-uri", model.tracking_uri, *map(str, arguments)])


def expected(model: LoggedModel, pixels: np.ndarray) -> list[str]:
    connect(model.tracking_uri)
    return [EMOTIONS[label] for label in load_face_model("models:/facial-expression/1").probabilities(pixels).argmax(1)]


def test_a_folder_is_answered_by_the_champion(logged_model: LoggedModel, folder: Path, pixels: np.ndarray) -> None:
    result = ferpipe(logged_model, folder, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["model"] == "models:/facial-expression@champion"
    assert [Path(face["face"]).name for face in answer["faces"]] == ["0.png", "1.png", "2.png"]
    assert [face["emotion"] for face in answer["faces"]] == expected(logged_model, pixels)
    assert all(sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-4) for face in answer["faces"])


def test_the_table_names_face_and_emotion(logged_model: LoggedModel, folder: Path, pixels: np.ndarray) -> None:
    result = ferpipe(logged_model, folder / "0.png", "--model", "1")
    assert result.exit_code == 0, result.output
    assert expected(logged_model, pixels[:1])[0] in result.stdout


def test_a_csv_without_labels_is_answered_and_written(
    logged_model: LoggedModel, pixels: np.ndarray, tmp_path: Path
) -> None:
    lines = ["pixels", *(" ".join(map(str, face.ravel())) for face in pixels), "1 2 3"]
    (tmp_path / "test.csv").write_text("\n".join(lines) + "\n")
    result = ferpipe(logged_model, tmp_path / "test.csv", "--output", tmp_path / "answers.csv")
    assert result.exit_code == 1
    assert "row 3: pixel count" in result.stderr
    with (tmp_path / "answers.csv").open() as file:
        assert [line["emotion"] for line in csv.DictReader(file)] == expected(logged_model, pixels)


def test_a_broken_picture_is_named_and_the_others_are_answered(logged_model: LoggedModel, folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    result = ferpipe(logged_model, folder, "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert len(answer["faces"]) == 3
    assert "broken.png: no PNG or JPEG that can be read" in answer["refused"][0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.png"], "absent.png: No such file"),
        (["empty"], "no .png, .jpg, .jpeg in this folder"),
        (["x.png", "--model", "7"], "version=7) not found"),
        (["x.png", "--model", "nobody"], "alias nobody not found"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    arguments: list[str], sentence: str, logged_model: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    result = ferpipe(logged_model, *arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.output


def test_no_faces_at_all_is_a_usage_error(logged_model: LoggedModel) -> None:
    assert ferpipe(logged_model).exit_code == 2
