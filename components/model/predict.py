"""What the faces in pictures, folders and CSVs express, by a given model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.bad_input import BadInput
from components.faces import EMOTIONS
from components.model.load import FaceModel
from components.model.pyfunc import NotAFace, read_face
from ferkit.tracking.names import MODEL_ARTIFACT, REGISTERED_MODEL

PICTURES = (".png", ".jpg", ".jpeg")
CHUNK = 1024
"""Pictures that are held in memory at once."""


@dataclass(frozen=True)
class Answers:
    """Answers for n faces.

    Attributes:
        faces: where each came from: a picture's path, or `faces.csv row 7`, 0-based.
        probabilities: float32 (n, 7).
    """

    faces: list[str]
    probabilities: np.ndarray

    def records(self) -> list[dict[str, Any]]:
        """A dict per face: `face`, `emotion`, and `probabilities` by emotion."""
        return [
            {
                "face": face,
                "emotion": EMOTIONS[int(given.argmax())],
                "probabilities": {emotion: round(float(p), 6) for emotion, p in zip(EMOTIONS, given, strict=True)},
            }
            for face, given in zip(self.faces, self.probabilities, strict=True)
        ]


def name_model(model: str) -> str:
    """The address of a model that a person named: an address, a version's number, the run that trained it, or an alias.

    >>> name_model("champion"), name_model("3")
    ('models:/facial-expression@champion', 'models:/facial-expression/3')
    """
    if ":/" in model or Path(model).is_dir():
        return model
    if re.fullmatch("[0-9a-f]{32}", model):
        return f"runs:/{model}/{MODEL_ARTIFACT}"
    return f"models:/{REGISTERED_MODEL}/{model}" if model.isdigit() else f"models:/{REGISTERED_MODEL}@{model}"


def predict(model: FaceModel, inputs: Sequence[str], refused: list[str]) -> Iterator[Answers]:
    """Answers for every face in the inputs, in their order, some at a time: a CSV of any size needs little memory.

    Args:
        model: that answers.
        inputs: pictures, folders of pictures (with those inside), CSVs with a column `pixels`.
        refused: takes a sentence for every picture and every row that is no face.

    Raises:
        BadInput: no such file, a folder without pictures, a CSV that cannot be read at all.
    """
    pictures: list[str] = []
    for given in inputs:
        if _is_csv(given):
            yield from _of_pictures(model, pictures, refused)
            pictures = []
            yield from _of_csv(model, given, refused)
        else:
            pictures += _pictures_in(Path(given))
    yield from _of_pictures(model, pictures, refused)


def _is_csv(given: str) -> bool:
    return "://" in given or given == "sample" or (not Path(given).is_dir() and not given.lower().endswith(PICTURES))


def _pictures_in(path: Path) -> list[str]:
    if not path.is_dir():
        return [str(path)]
    found = sorted(str(each) for each in path.rglob("*") if each.suffix.lower() in PICTURES and each.is_file())
    if not found:
        raise BadInput(f"{path}: no {', '.join(PICTURES)} in this folder; give one with pictures of faces, or a CSV")
    return found


def _of_pictures(model: FaceModel, pictures: Sequence[str], refused: list[str]) -> Iterator[Answers]:
    for start in range(0, len(pictures), CHUNK):
        names, faces = [], []
        for name in pictures[start : start + CHUNK]:
            try:
                faces.append(read_face(Path(name).read_bytes(), model.side))
                names.append(name)
            except OSError as error:
                raise BadInput(
                    f"{name}: {error.strerror}; give a picture, a folder or a CSV that can be read"
                ) from None
            except NotAFace as error:
                refused.append(f"{name}: {error}")
        if faces:
            yield Answers(names, model.probabilities(np.stack(faces)))


def _of_csv(model: FaceModel, csv: str, refused: list[str]) -> Iterator[Answers]:
    from components.source.pixels import read_pixels
    from components.source.rows import Rejected

    rejected: list[Rejected] = []
    for row, pixels in read_pixels(csv, rejected):
        yield Answers([f"{csv} row {number}" for number in row.tolist()], model.probabilities(pixels))
    refused += [f"{csv} row {each.row}: {each.reason} ({each.excerpt})" for each in rejected]
