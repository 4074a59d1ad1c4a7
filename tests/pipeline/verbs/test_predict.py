"""`ferpipe predict`, as a person calls it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ferkit.data import EMOTIONS, read_split
from ferkit.serving.load import load_face_model
from ferkit.serving.predict import Answers
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
    found = connect(logged_model.tracking_uri).get_model_version("facial-expression", answer["version"])
    assert (answer["registered_model"], answer["run_id"]) == ("facial-expression", found.run_id)
    assert "champion" in found.aliases
    assert [Path(face["face"]).name for face in answer["faces"]] == ["0.png", "1.png", "2.png"]
    assert [face["emotion"] for face in answer["faces"]] == expected(logged_model, pixels)
    assert all(sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-4) for face in answer["faces"])


def test_the_table_names_face_and_emotion(logged_model: LoggedModel, folder: Path, pixels: np.ndarray) -> None:
    result = ferpipe(logged_model, folder / "0.png", "--model", "1")
    assert result.exit_code == 0, result.output
    assert expected(logged_model, pixels[:1])[0] in result.stdout
    assert f"answered by facial-expression version 1, run {logged_model.run_id[:8]}" in result.stdout


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
    assert "broken.png: no picture; use PNG, JPEG, WEBP, GIF or BMP" in answer["refused"][0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.png"], "absent.png: No such file"),
        (["absent.csv"], "absent.csv: no such file"),
        (["absent"], "absent: no such file"),
        ([""], "an empty name was passed"),
        (["empty"], "empty: no picture in this folder"),
        (["a\nb.png"], "a\\nb.png: No such file"),
        (["http://[your-server]/a.csv"], "brackets in an address are for IPv6"),
        (["http://host:99999/a.csv"], "a port is a number from 1 to 65535"),
        (["x.png", "--model", "7"], "Error: facial-expression has no version '7'; newest: 1\n"),
        (["x.png", "--model", "nobody"], "Error: facial-expression has no version 'nobody'; newest: 1\n"),
        (["x.png", "--model", "1234567"], "no such run in this MLflow; `ferpipe runs` shows the last ones\n"),
        (["x.png", "--model", "zebra@champion"], "no model zebra is registered in this MLflow; there is facial-expr"),
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


def test_a_folder_is_told_by_first_bytes_and_what_is_not_answered_is_named(
    logged_model: LoggedModel, pixels: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "faces"
    (folder / "inside").mkdir(parents=True)
    for name, kind in {"a.jfif": "JPEG", "b.jpe": "JPEG", "c.webp": "WEBP", "d.gif": "GIF", "inside/e": "BMP"}.items():
        Image.fromarray(pixels[0]).save(folder / name, kind)
    Image.fromarray(pixels[0]).save(folder / "f.tif", "TIFF")
    (folder / "g.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 99)
    (folder / "labels.csv").write_text("name,emotion\n")
    (folder / "empty.png").touch()
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.png")
    result = ferpipe(logged_model, folder, "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    names = [Path(face["face"]).name for face in answer["faces"]]
    assert names == ["a.jfif", "b.jpe", "c.webp", "d.gif", "e"]
    refused = {Path(sentence.partition(":")[0]).name: sentence for sentence in answer["refused"]}
    assert set(refused) == {"f.tif", "g.heic", "labels.csv", "empty.png", "gone.png", "elsewhere", "pipe.png"}
    assert "f.tif: a TIFF; use PNG" in refused["f.tif"]
    assert "a HEIC" in refused["g.heic"]
    assert "not followed" in refused["elsewhere"]


def test_names_stay_as_they_are_on_a_terminal_and_in_files(
    logged_model: LoggedModel, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [
        "photo[final].png",
        "z[/b].png",
        "=1+1.png",
        "-2.png",
        "@SUM(A1).png",
        'a,b"c.png',
        "é😀.png",
        "\x1b[31mx.png",
    ]
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels[0]).save(name)
    result = ferpipe(logged_model, "--output", "answers.csv", "--", *names)
    assert result.exit_code == 0, result.output
    assert all(name in result.stdout for name in names[:-1])
    assert "\\x1b[31mx.png" in result.stdout
    with Path("answers.csv").open(newline="", encoding="utf-8") as file:
        written = [line["face"] for line in csv.DictReader(file)]
    assert [Path(name) for name in written] == [Path(name) for name in names]
    assert not [name for name in written if name[0] in "=+-@"]
    assert [face["face"] for face in json.loads(ferpipe(logged_model, "--json", "--", *names).stdout)["faces"]] == names


def test_names_that_are_not_utf_8_are_answered_and_shown_escaped(
    logged_model: LoggedModel, pixels: np.ndarray, tmp_path: Path
) -> None:
    """In a process of its own: what a test's runner takes for a terminal takes any text."""
    folder = tmp_path / "faces"
    folder.mkdir()
    Image.fromarray(pixels[0]).save(tmp_path / "x.png")
    for name in (b"caf\xe9.png", b"caf\xe9.txt"):
        (folder / os.fsdecode(name)).write_bytes((tmp_path / "x.png").read_bytes())
    (folder / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"no picture")
    command = [sys.executable, "-m", "pipeline.cli", "predict", "--tracking-uri", logged_model.tracking_uri, folder]
    for more in ([], ["--json"], ["--output", tmp_path / "answers.csv"]):
        ran = subprocess.run([*command, *more], capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False)
        assert ran.returncode == 1, ran.stderr
        said = [line for line in ran.stderr.splitlines() if b"caf\\xe9.txt" not in line]
        assert not said, "a model's loading has nothing to say"
        assert b"caf\\" in ran.stdout
        assert b"caf\\xe9.txt: no picture" in (ran.stdout.replace(b"\\\\", b"\\") if "--json" in more else ran.stderr)
    assert "caf\\udce9.png" in (tmp_path / "answers.csv").read_text(encoding="utf-8")


def test_blank_faces_are_refused_wherever_they_come_from(logged_model: LoggedModel, tmp_path: Path) -> None:
    Image.new("RGBA", (99, 99)).save(tmp_path / "clear.png")
    cells = ["pixels", " ".join(["7"] * 2304), " ".join(str(n % 200) for n in range(2304))]
    (tmp_path / "test.csv").write_text("\n".join(cells) + "\n")
    result = ferpipe(logged_model, tmp_path / "clear.png", tmp_path / "test.csv", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert [Path(face["face"]).name for face in answer["faces"]] == ["test.csv row 1"]
    assert ["nothing to see" in sentence for sentence in answer["refused"]] == [True, True]


def test_an_input_that_cannot_be_read_keeps_no_other_from_its_answer(
    logged_model: LoggedModel, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text("no header\n")
    result = ferpipe(logged_model, tmp_path / "x.csv", folder, tmp_path / "none.png", "--output", tmp_path / "out.csv")
    assert result.exit_code == 1
    assert "x.csv: its first line has no column `pixels`" in result.stderr
    assert "none.png: No such file" in result.stderr
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4


def test_the_output_is_none_of_the_inputs_and_is_whole(
    logged_model: LoggedModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "0.png").read_bytes()
    result = ferpipe(logged_model, folder / "0.png", "--output", folder / "0.png")
    assert result.exit_code == 1
    assert "is one of the inputs" in result.stderr
    assert (folder / "0.png").read_bytes() == before
    (tmp_path / "answers.csv").write_text("mine\n")
    monkeypatch.setattr("ferkit.serving.predict.Answers.records", lambda self: 1 / 0)
    ferpipe(logged_model, folder, "--output", tmp_path / "answers.csv")
    assert (tmp_path / "answers.csv").read_text() == "mine\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "faces"]


@pytest.mark.parametrize("how", ["--json", "--output=answers.csv"])
def test_memory_does_not_grow_with_the_faces(
    how: str, logged_model: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what comes in no more than a part is held: see `predict`, and the tests of reading a CSV."""
    monkeypatch.chdir(tmp_path)
    chunk = Answers([f"face {number}" for number in range(200)], np.full((200, 7), 1 / 7, np.float32))

    def predict(model: object, inputs: list[str], refused: list[str], on_read: object) -> Iterator[Answers]:
        for _ in range(int(inputs[0])):
            refused.extend(f"row {number}: no face" for number in range(200))
            yield chunk

    monkeypatch.setattr("ferkit.serving.predict.predict", predict)
    monkeypatch.setattr("ferkit.serving.load.load_face_model", lambda address: None)
    peaks = []
    with Path(os.devnull).open("w") as nowhere:
        monkeypatch.setattr("sys.stdout", nowhere)
        for chunks in (10, 10, 60):  # once to import what is needed
            tracemalloc.start()
            arguments = ["predict", "--tracking-uri", logged_model.tracking_uri, how, str(chunks)]
            assert cli.main(arguments, standalone_mode=False) == 1
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[2] < 1.5 * peaks[1], peaks


def test_no_faces_at_all_is_a_usage_error(logged_model: LoggedModel) -> None:
    assert ferpipe(logged_model).exit_code == 2
