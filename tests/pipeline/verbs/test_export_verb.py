"""`ferpipe export`, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ferkit.data import EMOTIONS
from ferkit.data.sample.draw import draw_faces
from ferkit.serving.export import TOLERANCE, load_exported
from ferkit.serving.load import load_face_model
from ferkit.tracking.store import connect
from pipeline.cli import cli

if TYPE_CHECKING:
    from tests.conftest import LoggedModel


def ferpipe(model: LoggedModel, *arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["export", "--tracking-uri", model.tracking_uri, *map(str, arguments)])


def test_the_champion_is_written_to_the_formats_own_name(
    logged_model: LoggedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ferpipe(logged_model, "--format", "onnx")
    assert result.exit_code == 0, result.output
    first, takes, returns = result.stdout.splitlines()
    assert first.startswith("facial-expression.onnx: 0.0 MB, from models:/facial-expression@champion; probabilities")
    assert takes == "takes faces, uint8 (n, 48, 48, 1), grey levels 0..255"
    assert returns == f"returns probabilities, float32 (n, 7): {', '.join(EMOTIONS)}"
    assert [path.name for path in tmp_path.iterdir()] == ["facial-expression.onnx"]


def test_a_run_is_exported_by_its_id_and_described_as_json(logged_model: LoggedModel, tmp_path: Path) -> None:
    file = tmp_path / "phone.tflite"
    result = ferpipe(logged_model, "--format", "litert", "--model", logged_model.run_id, "--output", file, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["model"] == f"runs:/{logged_model.run_id}/model"
    assert (said["file"], said["bytes"], said["emotions"]) == (str(file), file.stat().st_size, list(EMOTIONS))
    connect(logged_model.tracking_uri)
    faces = draw_faces(np.arange(7, dtype=np.uint8), [5])
    expected = load_face_model(said["model"]).probabilities(faces)
    np.testing.assert_allclose(load_exported(file)(faces), expected, atol=TOLERANCE, rtol=0)


def test_a_model_that_is_not_there_is_one_sentence(logged_model: LoggedModel, tmp_path: Path) -> None:
    result = ferpipe(logged_model, "--format", "onnx", "--model", "9", "--output", tmp_path / "model.onnx")
    assert result.exit_code == 1
    assert "facial-expression has no version '9'; newest: 1\n" in result.output
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []
