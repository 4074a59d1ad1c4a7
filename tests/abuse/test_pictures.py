"""Pictures, whole and mutated, of all kinds: a face or one sentence, in bounded memory; in folders nothing is lost."""

from __future__ import annotations

import io
import os
import random
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ferkit.data import EMOTIONS
from ferkit.serving.load import FaceModel
from ferkit.serving.predict import predict
from ferkit.serving.pyfunc import LEAST_CONTRAST, NotAFace, measure_contrast, read_face
from tests.abuse.sentences import assert_one_sentence

pytestmark = pytest.mark.abuse

SIDE = 48
MORE_MEMORY = 150
"""MB that all of the pictures together may take beside a small one."""

KINDS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("L", "RGB", "I;16"),
    "PPM": ("L", "RGB"),
}


def draw_picture(dice: random.Random) -> bytes:
    """A picture of some kind, mode and size: of noise, of a gradient, or blank."""
    kind = dice.choice(list(KINDS)[:5] if dice.random() < 0.9 else list(KINDS)[5:])
    mode = dice.choice(KINDS[kind])
    size = dice.choice([(48, 48), (64, 200), (333, 250), (900, 700)] * 3 + [(1, 1), (1, 300), (300, 1)])
    what = dice.randrange(6)
    grey = Image.linear_gradient("L").resize(size) if what < 3 else Image.effect_noise(size, 60)
    if what == 5:
        grey = Image.new("L", size, dice.randrange(256))
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) << dice.choice([0, 2, 4, 8]))
    else:
        picture = grey.convert(mode)
    if mode in ("RGBA", "LA") and dice.random() < 0.5:
        picture.putalpha(dice.choice([0, 1, 128, 255]))
    options: dict[str, Any] = {}
    if dice.random() < 0.3 and kind in ("JPEG", "PNG", "WEBP"):
        exif = Image.Exif()
        exif[0x0112] = dice.randrange(11)
        options["exif"] = exif
    if kind == "JPEG":
        options |= {"progressive": dice.random() < 0.5, "quality": dice.choice([5, 90])}
    if kind == "GIF" and dice.random() < 0.3:
        options |= {"save_all": True, "append_images": [picture.rotate(180)] * 3}
    if kind in ("PNG", "GIF") and mode in ("P", "L") and dice.random() < 0.3:
        options["transparency"] = dice.randrange(256)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def spoil(data: bytes, dice: random.Random) -> bytes:
    """The picture with bytes changed, cut off, doubled, or with other sizes in its head."""
    changed = bytearray(data)
    way = dice.randrange(6)
    if way == 0:
        return data
    if way == 1:
        return data[: dice.randrange(len(data) + 1)]
    if way == 2:  # its head, where sizes and modes are
        for _ in range(dice.randint(1, 6)):
            changed[dice.randrange(min(64, len(changed)))] = dice.choice([0, 1, 2, 127, 255, dice.randrange(256)])
    if way == 3:
        for _ in range(dice.choice([1, 3, 60])):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
    if way == 4:
        at = dice.randrange(len(changed))
        changed[at : at + dice.randint(0, 20)] = bytes(dice.randrange(256) for _ in range(dice.randint(0, 20)))
    if way == 5:
        changed = changed[: dice.randrange(len(changed))] + changed
    return bytes(changed)


@pytest.mark.timeout(900)
def test_a_picture_is_a_face_or_one_sentence_in_bounded_memory(attempts) -> None:
    tried = attempts("pictures", 2000)
    read_face(draw_good(), SIDE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, dice in tried:
        data = spoil(draw_picture(dice), dice)
        try:
            face = read_face(data, SIDE)
        except NotAFace as refusal:
            assert_one_sentence(refusal, number)
            tried.ended("refused")
            continue
        except Exception as error:
            raise AssertionError(f"picture {number}: {type(error).__name__}: {error}") from error
        assert (face.shape, face.dtype) == ((SIDE, SIDE), np.uint8), number
        assert measure_contrast(face[None])[0] >= LEAST_CONTRAST, number
        tried.ended("read")
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert more < MORE_MEMORY, f"{more:.0f} MB"


def draw_good() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").save(file, "PNG")
    return file.getvalue()


class Uniform:
    """A classifier that knows nothing."""

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        return np.full((len(pixels), len(EMOTIONS)), 1 / len(EMOTIONS), np.float32)


LETTERS = [
    "a",
    "é",
    "😀",
    "[",
    "]",
    "[/",
    "[b]",
    "=",
    "+",
    "-",
    "@",
    "\n",
    "\r",
    "\t",
    "\x1b",
    "'",
    '"',
    ",",
    " ",
    "#",
    "?",
    "*",
    "\udce9",
]
NAMES_OF = [".png", ".jpg", ".jfif", ".webp", ".txt", ".csv", "", ".PNG", ".tar.gz"]


@pytest.mark.timeout(900)
def test_of_a_folder_everything_is_answered_or_named(attempts, tmp_path: Path) -> None:
    tried = attempts("folders", 150)
    model = FaceModel("models:/x/1", SIDE, Uniform())
    for number, dice in tried:
        folder = tmp_path / str(number)
        folder.mkdir()
        for one in range(dice.randint(1, 12)):
            name = f"{one}" * (dice.random() < 0.7) + "".join(dice.choice(LETTERS) for _ in range(dice.randint(1, 4)))
            place = folder / (name.replace("/", "") + "/" if dice.random() < 0.2 else "")
            place.mkdir(exist_ok=True)
            path = place / (name.replace("/", "") + f"{one}{dice.choice(NAMES_OF)}")
            what = dice.randrange(8)
            if what == 0:
                path.symlink_to(dice.choice(["nowhere", "..", "/dev/null"]))
            elif what == 1:
                os.mkfifo(path)
            elif what == 2:
                path.write_bytes(bytes(dice.randrange(256) for _ in range(dice.randrange(40))))
            else:
                path.write_bytes(draw_good() if what < 6 else spoil(draw_picture(dice), dice))
        files = sorted(str(path) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        refused: list[str] = []
        answered = [name for answers in predict(model, [str(folder)], refused) for name in answers.faces]
        assert set(answered) <= set(files), number
        assert len(answered) + len(refused) == len(files), (number, files, answered, refused)
        for sentence in refused:
            assert_one_sentence(sentence, number)
        tried.ended("with some named" if refused else "answered whole")
