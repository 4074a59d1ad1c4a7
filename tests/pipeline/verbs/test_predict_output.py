"""What `ferpipe predict` prints while it works."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ferkit.errors import UserError
from ferkit.serving.load import FaceModel
from ferkit.serving.predict import predict, size_of
from pipeline.cli import cli
from pipeline.verbs.notices import without_notices
from pipeline.verbs.predict_output import SHOWN, JsonPrinter, RefusalPrinter

SIDE = 16
EVENLY = FaceModel("models:/even/1", SIDE, SimpleNamespace(probabilities=lambda faces: np.full((len(faces), 7), 1 / 7)))
"""Stands for a model: what is asked here is how faces come in and answers go out."""


def write_csv(path: Path, rows: int) -> str:
    """Faces of 16 x 16, every second one blank."""
    seen, blank = (" ".join(str(level % 200) for level in levels) for levels in (range(SIDE**2), [7] * SIDE**2))
    with path.open("w") as file:
        file.write("pixels\n")
        file.writelines(f"{blank if row % 2 else seen}\n" for row in range(rows))
    return str(path)


def print_json(csv: str) -> None:
    refused: list[str] = []
    with JsonPrinter({"model": "models:/even/1"}) as printer:
        for answers in predict(EVENLY, [csv], refused):
            printer.add(answers.records(), refused)
            refused.clear()
        printer.add([], refused)


def test_all_answers_and_refusals_are_one_json_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    print_json(write_csv(tmp_path / "faces.csv", 9))
    printed = json.loads(capsys.readouterr().out)
    assert printed["model"] == "models:/even/1"
    assert [face["face"].rpartition(" ")[2] for face in printed["faces"]] == ["0", "2", "4", "6", "8"]
    assert ["nothing to see" in sentence for sentence in printed["refused"]] == [True] * 4


def test_without_a_face_it_is_json_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    print_json(str(tmp_path / "absent.csv"))
    printed = json.loads(capsys.readouterr().out)
    assert printed["faces"] == []
    assert "absent.csv: no such file" in printed["refused"][0]


def test_the_bar_comes_to_its_end(tmp_path: Path):
    folder = tmp_path / "faces"
    (folder / "more").mkdir(parents=True)
    for name in ("0.png", "more/1.png"):
        Image.fromarray(np.arange(SIDE**2, dtype=np.uint8).reshape(SIDE, SIDE)).save(folder / name)
    inputs = [write_csv(tmp_path / "faces.csv", 99), str(folder)]
    read: list[int] = []
    assert sum(len(answers.faces) for answers in predict(EVENLY, inputs, [], read.append)) == 52
    assert sum(read) == size_of(inputs)
    assert size_of([*inputs, "s3://bucket/faces.csv"]) is None


def test_refusals_are_named_as_they_come_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]):
    with RefusalPrinter() as printer:
        for number in range(0, 30, 3):
            printer.add([], [f"row {number + each}: no face" for each in range(3)])
    said = capsys.readouterr().err.splitlines()
    assert said == [f"row {number}: no face" for number in range(SHOWN)] + ["and 10 more; --json names them all"]


def test_notices_are_kept_off_standard_error_and_nothing_else(capfd: pytest.CaptureFixture[str]):
    with without_notices():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"I0000 00:00:1795655821.068430 21361 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"E0000 00:00:1795655821.068430 21361 cuda.cc:9] no driver\n")
    assert capfd.readouterr().err == "E0000 00:00:1795655821.068430 21361 cuda.cc:9] no driver\n"


@pytest.mark.parametrize(
    ("words", "work"),
    [
        (["gate", "1"], "components.register.verdicts.gate_version"),
        (["export", "--format", "onnx"], "ferkit.serving.export.export_model"),
    ],
)
def test_they_are_in_every_command_that_loads_a_model(
    words: list[str], work: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def say(*_: object) -> None:
        os.write(2, b"I0000 00:00:1795655821.068430 21361 port.cc:153] oneDNN custom operations are on.\n")
        raise UserError("it was called")

    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # `export` sets it, for good
    for name in ("ferkit.tracking.store.connect", "ferkit.serving.load.load_face_model"):
        monkeypatch.setattr(name, lambda _: None)
    monkeypatch.setattr("pipeline.candidates.named_version", lambda *_: SimpleNamespace(number="1", model="faces"))
    for name in ("address_of", "version_at"):
        monkeypatch.setattr(f"ferkit.registry.model_addresses.{name}", lambda *_: None)
    monkeypatch.setattr(work, say)
    assert "Error: it was called" in CliRunner().invoke(cli, words).output
    assert capfd.readouterr().err == ""
