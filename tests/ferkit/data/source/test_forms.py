"""What is said of pixels that nobody can read as faces: what is there, and the cure."""

from __future__ import annotations

import io

import numpy as np
import pytest

from ferkit.data.source import forms
from ferkit.data.source.rows import CsvReader
from ferkit.errors import UserError

FACES = np.random.default_rng(0).integers(0, 256, (20, 48, 48), dtype=np.uint8)


def reader(cells: list[str]) -> CsvReader:
    csv = "emotion,pixels,Usage\n" + "".join(f"3,{cell},Training\n" for cell in cells)
    return CsvReader(io.BytesIO(csv.encode()), "faces.csv")


def text(values: np.ndarray) -> str:
    return " ".join(map(str, values.ravel().tolist()))


def in_channels(*channels: np.ndarray) -> list[str]:
    return [text(np.stack(planes, axis=-1)) for planes in zip(*channels, strict=True)]


OPAQUE, CLEAR = np.full_like(FACES, 255), np.random.default_rng(1).integers(0, 256, FACES.shape, dtype=np.uint8)

FORMS = {
    "RGBA, opaque": (in_channels(FACES, FACES, FACES, OPAQUE), "9,216 values, four (red, green, blue and alpha)"),
    "RGBA in colour": (in_channels(FACES, CLEAR, 255 - FACES, OPAQUE), "each of 48 x 48 pixels: every fourth of them"),
    "ARGB": (in_channels(OPAQUE, FACES, CLEAR, FACES), "every fourth of them is the same"),
    "RGBA, partly clear": (in_channels(FACES, FACES, FACES, CLEAR), "three of every four are equal"),
    "RGB": (in_channels(FACES, FACES, FACES), "6,912 values, which are 3 (red, green and blue) for each of 48 x 48"),
    "grey and alpha": (in_channels(FACES, OPAQUE), "4,608 values, which are 2 (grey and alpha)"),
    "0..1": ([text(face / 255) for face in FACES], "values from 0 to 1, not 0..255; multiply them by 255"),
    "-1..1": ([text(face / 127.5 - 1) for face in FACES], "values from -1 to 1, not 0..255; add 1, multiply by 127.5"),
    "standardised": ([text((face.astype(int) - 120) / 60) for face in FACES], "not 0..255; bring them to that"),
    "0 and 1": ([text(face // 128) for face in FACES], "values from 0 to 1, not 0..255, and so a black face"),
    "fractions": ([text(face * 0.99) for face in FACES], "fractions (from 0 to 252.4); round them"),
    "16 bits": ([text(face.astype(int) * 257) for face in FACES], "values from 0 to 6.55e+04, not 0..255; divide them"),
    "NumPy in short": (["[70 80 82 ... 106 109 82]"], "a NumPy array printed in short"),
    "a name": (["faces/0001.png"], "the name of a picture ('faces/0001.png')"),
    "base64": (["iVBORw0KGgoAAAANSUhEUgAAADAAAAAwCAAAAAByaaZb"], "text ('iVBORw0KGgo"),
    "nothing": ([""], "nothing; put the face's grey levels there"),
    "one too few": ([text(face.ravel()[1:]) for face in FACES], "2,303 values, which are no square (side*side: 2,209"),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_cannot_be_read_is_named_with_its_cure(form: str):
    cells, sentence = FORMS[form]
    with pytest.raises(UserError, match=r"^faces\.csv: row 0 has in `pixels` ") as refused:
        reader(cells)
    assert sentence in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "faces",
    [
        np.random.default_rng(2).integers(0, 256, (5, 96, 96)),
        np.random.default_rng(2).integers(0, 256, (1, 96, 96)),
        np.kron(np.random.default_rng(2).integers(0, 256, (5, 24, 24)), np.ones((4, 4), int)),
        np.pad(np.random.default_rng(2).integers(0, 256, (5, 72, 96)), ((0, 0), (0, 24), (0, 0))),
        np.full((3, 96, 96), 9),
    ],
    ids=["96 x 96", "a single one", "enlarged four times", "with a black border below", "of one grey level"],
)
def test_grey_faces_of_96_by_96_stay_readable(faces: np.ndarray):
    assert reader([text(face) for face in faces]).side == 96


def test_single_faults_are_told_row_by_row_and_not_as_a_form():
    cells = [text(face) for face in FACES]
    for position, fault in enumerate(("256", "x7", "0.5", "-1")):
        cells[position] = cells[position].replace(" ", f" {fault} ", 1).rpartition(" ")[0]
    read = list(reader(cells).rows())
    assert [(one.row, one.reason) for one in read[0].rejected] == [
        (0, "value outside 0..255"),
        (1, "not a number"),
        (2, "not a whole number"),
        (3, "value outside 0..255"),
    ]


def test_the_cells_of_a_row_are_counted_where_they_are_not_the_headers():
    for csv, has in (
        (b"pixels,Usage\n1,1 2 3 4,Training\n", "row 0 has 3 cells"),
        (b"emotion,pixels\n1 2 3 4\n", "1 cells"),
    ):
        with pytest.raises(UserError, match=rf"its header has 2 columns, and none .*{has}"):
            CsvReader(io.BytesIO(csv), "faces.csv")


def test_doctests_hold():
    import doctest

    from ferkit import addresses, user_input
    from ferkit.data.source import digits

    for module in (forms, digits, user_input, addresses):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed
