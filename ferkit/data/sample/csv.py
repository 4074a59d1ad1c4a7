"""`draw_csv`: drawn faces in FER2013's form, with FER2013's class imbalance and a few of each of its faults."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from ferkit.data import EMOTIONS
from ferkit.data.sample.canvas import SIDE
from ferkit.data.sample.draw import draw_faces
from ferkit.errors import UserError

FEWEST: Final = 100
PIXELS: Final = SIDE * SIDE

USAGES: Final = ("Training", "PublicTest", "PrivateTest")
FER2013: Final = (4953, 547, 5121, 8989, 6077, 4002, 6198)
"""Faces per emotion among the 35,887 of FER2013 (Goodfellow et al., "Challenges in Representation Learning", 2013)."""

_NUMBERS: Final = [str(grey) for grey in range(256)]


def _as_text(face: np.ndarray) -> str:
    return " ".join(map(_NUMBERS.__getitem__, face.tobytes()))


def _replace(text: str, position: int, value: str) -> str:
    values = text.split(" ")
    values[position] = value
    return " ".join(values)


def _blank(face: np.ndarray) -> str:
    return _as_text(np.full_like(face, face[0, 0]))


FAULTS: Final[dict[str, Callable[[int, np.ndarray, str], tuple[str, str, str]]]] = {
    # Name of the fault -> (label, face, usage) to the three cells of a row that ingest has to turn away.
    "too few pixels": lambda label, face, usage: (str(label), _as_text(face.ravel()[:-1]), usage),
    "too many pixels": lambda label, face, usage: (str(label), _as_text(face) + " 0", usage),
    "no pixels": lambda label, face, usage: (str(label), "", usage),
    "over 255": lambda label, face, usage: (str(label), _replace(_as_text(face), 1000, "256"), usage),
    "below 0": lambda label, face, usage: (str(label), _replace(_as_text(face), 0, "-1"), usage),
    "not a number": lambda label, face, usage: (str(label), _replace(_as_text(face), -1, "1x7"), usage),
    "unknown label": lambda label, face, usage: (str(label + 7), _as_text(face), usage),
    "label not a number": lambda label, face, usage: (EMOTIONS[label], _as_text(face), usage),
    "unknown usage": lambda label, face, usage: (str(label), _as_text(face), "Test"),
    "constant image": lambda label, face, usage: (str(label), _blank(face), usage),
}

DUPLICATES: Final[dict[str, tuple[str, bool]]] = {
    # Name -> the usage under which a copy of a Training row stands, and whether it says another emotion.
    "within train": ("Training", False),
    "within train, other label": ("Training", True),
    "train and validation": ("PublicTest", False),
    "train and test": ("PrivateTest", False),
    "train and test, other label": ("PrivateTest", True),
}


def planted(faces: int) -> dict[str, int]:
    """How many rows of each fault and each kind of duplicate a sample of this many faces has, besides the faces."""
    each = max(1, faces // 1000)
    return dict.fromkeys([*FAULTS, *DUPLICATES], each)


def draw_csv(path: Path, faces: int = 5000, seed: int = 0) -> None:
    """Draws a synthetic data set and writes it as a CSV of FER2013's form: `emotion,pixels,Usage`.

    80% of the faces are Training, 10% PublicTest, 10% PrivateTest, each with FER2013's shares of the seven emotions and
    at least one face of each. The rows of `planted(faces)` come on top. The same arguments produce the same bytes on
    every machine. 5,000 faces take some seconds and 45 MB.

    Args:
        path: where to write; the file appears whole or not at all.
        faces: how many, at least 100.
        seed: of the drawing, 0 or more.

    Raises:
        UserError: too few faces, or a negative seed.
    """
    if faces < FEWEST:
        raise UserError(
            f"a sample needs at least {FEWEST} faces to have every emotion in every split (received {faces})"
        )
    if seed < 0:
        raise UserError(f"the seed of a sample must be 0 or more (received {seed})")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="ascii", newline="") as file:
            file.write("emotion,pixels,Usage\n")
            file.writelines(f"{label},{pixels},{usage}\n" for label, pixels, usage in _rows(faces, seed))
        Path(part).chmod(0o644)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def count_per_emotion(faces: int) -> np.ndarray:
    """Faces per emotion, int64 (7,), in FER2013's shares: at least one of each, the rest by largest remainder."""
    shares = np.array(FER2013, np.int64)
    free = (faces - len(EMOTIONS)) * shares
    counts, left = free // shares.sum(), free % shares.sum()
    missing = faces - len(EMOTIONS) - counts.sum()
    counts[np.argsort(-left, kind="stable")[:missing]] += 1
    return counts + 1


def _rows(faces: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """The three cells of every row, Training first as in FER2013."""
    held_out = faces // 10
    copies: dict[str, list[tuple[str, str, str]]] = {usage: [] for usage in USAGES}
    for number, usage in enumerate(USAGES):
        stream = np.random.PCG64([seed, number, 1])
        labels = np.repeat(
            np.arange(7, dtype=np.uint8), count_per_emotion(held_out if number else faces - 2 * held_out)
        )
        labels = labels[np.argsort(stream.random_raw(len(labels)), kind="stable")]
        pixels = draw_faces(labels, [seed, number])
        rows = [(str(label), _as_text(face), usage) for label, face in zip(labels, pixels, strict=True)]
        each = planted(faces)["no pixels"]
        if number == 0:
            # Every kind of fault and copy starts from rows of its own, spread evenly over Training.
            picks = iter(np.linspace(0, len(rows) - 1, each * (len(FAULTS) + len(DUPLICATES)), dtype=np.int64).tolist())
            for spoil in FAULTS.values():
                for pick in [next(picks) for _ in range(each)]:
                    copies[usage].append(spoil(int(labels[pick]), pixels[pick], usage))
            for target, relabelled in DUPLICATES.values():
                for pick in [next(picks) for _ in range(each)]:
                    label = (int(labels[pick]) + relabelled) % len(EMOTIONS)
                    copies[target].append((str(label), rows[pick][1], target))
        for extra in copies[usage]:
            rows.insert(int(stream.random_raw() % len(rows)), extra)
        yield from rows
