"""Predicts the emotions of the faces in pictures, folders and CSVs with a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferkit.data import EMOTIONS
from ferkit.errors import UserError
from ferkit.serving.file_types import ENDINGS, LITTER, is_picture, name_kind, read_start
from ferkit.serving.load import FaceModel
from ferkit.serving.pyfunc import FORMATS, LEAST_CONTRAST, NotAFace, measure_contrast, read_picture
from ferkit.user_input import shown

KINDS = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
CHUNK = 1024
"""Pictures that are held in memory at once."""
NO_ANSWER = np.empty((0, len(EMOTIONS)), np.float32)


@dataclass(frozen=True)
class Answers:
    """Answers for n faces, n = 0 included.

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
                "emotion": EMOTIONS[int(probabilities.argmax())],
                "probabilities": {
                    emotion: round(float(p), 6) for emotion, p in zip(EMOTIONS, probabilities, strict=True)
                },
            }
            for face, probabilities in zip(self.faces, self.probabilities, strict=True)
        ]


def predict(
    model: FaceModel, inputs: Sequence[str], refused: list[str], on_read: Callable[[int], None] = lambda _: None
) -> Iterator[Answers]:
    """Answers for every face in the inputs, in their order, some at a time: of any number of faces, `CHUNK` pictures or
    some megabytes of a CSV are in memory, and the names of one folder.

    Whatever is not answered is named in `refused`: nothing in a folder is passed over but what systems put there
    (`LITTER`), and an input that cannot be read keeps no other from its answer.

    Args:
        model: that answers.
        inputs: pictures, folders of pictures (with those inside, after its own), CSVs with a column `pixels`; which is
            which is recognized by their first bytes.
        refused: takes a sentence for every input, file and row that is no face; may be emptied between two answers.
        on_read: told how many bytes of the inputs were read, bit by bit.
    """
    pictures: list[str] = []
    for source in inputs:
        try:
            if not source:
                raise UserError("an empty name was passed; use pictures, folders of them, or CSVs")
            if _is_csv(source):
                yield from _of_pictures(model, pictures, refused, on_read)
                pictures.clear()
                yield from _of_csv(model, source, refused, on_read)
            else:
                for picture in _pictures_in(source, refused) if Path(source).is_dir() else [source]:
                    pictures.append(picture)
                    if len(pictures) == CHUNK:
                        yield from _of_pictures(model, pictures, refused, on_read)
                        pictures.clear()
        except UserError as error:
            refused.append(str(error))
    yield from _of_pictures(model, pictures, refused, on_read)


def size_of(inputs: Sequence[str]) -> int | None:
    """Bytes of all inputs, files in folders included; None where some lie elsewhere, or cannot be told."""
    size = 0
    try:
        for source in inputs:
            path = Path(source)
            if path.is_dir():
                files = (Path(where, name) for where, _, names in os.walk(path) for name in names)
                size += sum(file.stat().st_size for file in files if file.is_file())
            else:
                size += path.stat().st_size
    except OSError:
        return None
    return size


def _is_csv(source: str) -> bool:
    """Whether it is neither a folder nor a file that is a picture, or is called one."""
    if "://" in source or source == "sample":
        return True
    path = Path(source)
    if not path.is_file():
        return not path.is_dir() and not source.lower().endswith(ENDINGS)
    try:
        start = read_start(path)
    except OSError as error:
        raise UserError(
            f"{shown(source)}: {error.strerror}; use a picture, a folder or a CSV that can be read"
        ) from None
    return not (is_picture(start) or name_kind(start) or source.lower().endswith(ENDINGS))


def _pictures_in(folder: str, refused: list[str]) -> Iterator[str]:
    """The paths of all pictures in a folder, then those inside it, in order; whatever else is there goes to `refused`.

    Raises:
        UserError: at the end, where there was nothing at all.
    """
    is_empty = True

    def name_unread(error: OSError) -> None:
        refused.append(f"{shown(error.filename)}: {error.strerror}, so nothing in it was answered")
        nonlocal is_empty
        is_empty = False

    for where, folders, names in os.walk(folder, onerror=name_unread):
        folders.sort()
        links = [name for name in folders if Path(where, name).is_symlink()]
        for name in sorted(set(names) - set(LITTER)) + links:
            path = Path(where, name)
            is_empty = False
            try:
                if path.is_dir():
                    refused.append(f"{shown(path)}: a link to a folder, which is not followed; use that folder itself")
                elif not path.is_file():
                    refused.append(f"{shown(path)}: no file, or a link that leads nowhere; use a picture ({KINDS})")
                elif is_picture(start := read_start(path)):
                    yield str(path)
                else:
                    what = name_kind(start) or "no picture"
                    refused.append(f"{shown(path)}: {what}; use {KINDS}, and a CSV by itself")
            except OSError as error:
                refused.append(f"{shown(path)}: {error.strerror}; use a picture that can be read")
    if is_empty:
        raise UserError(
            f"{shown(folder)}: no picture in this folder; use one with pictures of faces ({KINDS}), or a CSV"
        )


def _of_pictures(
    model: FaceModel, pictures: Sequence[str], refused: list[str], on_read: Callable[[int], None]
) -> Iterator[Answers]:
    names, faces = [], []
    for name in pictures:
        try:
            with Path(name).open("rb") as file:
                kind = name_kind(file.read(16))
                on_read(file.seek(0, os.SEEK_END))
                file.seek(0)
                if kind:
                    raise NotAFace(f"{kind}; use {KINDS}")
                faces.append(read_picture(file, model.side))
            names.append(name)
        except OSError as error:
            refused.append(f"{shown(name)}: {error.strerror}; use a picture, a folder or a CSV that can be read")
        except NotAFace as error:
            refused.append(f"{shown(name)}: {error}")
    if pictures:
        yield Answers(names, model.probabilities(np.stack(faces)) if faces else NO_ANSWER)


def _of_csv(model: FaceModel, csv: str, refused: list[str], on_read: Callable[[int], None]) -> Iterator[Answers]:
    from ferkit.addresses import without_secrets
    from ferkit.data.source.pixels import read_pixels
    from ferkit.data.source.row import Rejected

    name = without_secrets(csv)
    rejected: list[Rejected] = []
    for row, pixels in read_pixels(csv, rejected, on_read):
        seen = measure_contrast(pixels) >= LEAST_CONTRAST
        blank = f"nothing to see, less than {LEAST_CONTRAST} grey levels between dark and bright"
        refused += [f"{shown(name)} row {number}: {blank}" for number in row[~seen]]
        refused += [f"{shown(name)} row {each.row}: {each.reason} ({each.excerpt})" for each in rejected]
        rejected.clear()
        answers = model.probabilities(pixels[seen]) if seen.any() else NO_ANSWER
        yield Answers([f"{name} row {number}" for number in row[seen]], answers)
    refused += [f"{shown(name)} row {each.row}: {each.reason} ({each.excerpt})" for each in rejected]
