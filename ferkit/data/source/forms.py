"""What the first rows of a CSV hold where grey levels should be: the sentence for a form that cannot be read as faces.

Said only where the whole CSV is of that form; single faulty rows get their reasons one by one (rows.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from ferkit.data.source.digits import FRACTION, as_plain

SMALLEST: Final = 256
"""Values below which nothing is concluded from a pattern among them: the faces of tests have four."""

_PICTURE = re.compile(r"\.(png|jpe?g|jfif|gif|bmp|webp|tiff?)\W*$", re.IGNORECASE)
_CHANNELS: Final = {2: "grey and alpha", 3: "red, green and blue", 4: "red, green, blue and alpha"}


def refuse_values(field: bytes) -> str:
    """What a field has that is no grey level, and the cure; empty where most of it is whole numbers 0..255.

    >>> refuse_values(b"0.27 0.31 0.32 0.28")
    'values from 0.27 to 0.32, not 0..255; multiply them by 255 and round them'
    """
    tokens = as_plain(field).split()
    if not tokens:
        return "nothing; put the face's grey levels there, with blanks between them"
    if any(b"..." in token for token in tokens):
        return (
            "a NumPy array printed in short, with `...` in place of most values; "
            "write them all: ' '.join(map(str, face.ravel()))"
        )
    numbers = np.array([float(token) for token in tokens if FRACTION.fullmatch(token)])
    if 2 * len(numbers) < len(tokens):
        text = field[:40].decode("utf-8", "backslashreplace")
        if len(tokens) < 8 and _PICTURE.search(field[-12:].decode("utf-8", "replace")):
            return f"the name of a picture ({text!a}); write its grey levels, or pass pictures to `ferpipe predict`"
        return f"text ({text!a}); put the face's grey levels there, with blanks between them"
    low, high = float(numbers.min()), float(numbers.max())
    span = f"values from {low:.3g} to {high:.3g}, not 0..255"
    if (numbers == np.round(numbers)).all():
        most_fit = 2 * np.count_nonzero((numbers >= 0) & (numbers <= 255)) >= len(numbers)
        if len(numbers) >= SMALLEST and low >= 0 and high <= 1:
            return f"{span}, and so a black face; write the grey levels as they were before they were scaled"
        if most_fit:
            return ""
        return f"{span}; divide them by 257 (16 bits)" if low >= 0 and high <= 65_535 else f"{span}; scale them to that"
    if low >= 0 and high <= 1:
        return f"{span}; multiply them by 255 and round them"
    if -1 <= low < 0 and high <= 1:
        return f"{span}; add 1, multiply by 127.5 and round them"
    if low < 0 or high > 255:
        return f"{span}; bring them to that, and round them"
    return f"fractions (from {low:.4g} to {high:.4g}); round them to whole numbers"


def refuse_count(count: int) -> str:
    """What is wrong with a face of that many values, and the cure; empty for a square.

    >>> refuse_count(6912)
    '6,912 values, which are 3 (red, green and blue) for each of 48 x 48 pixels; write one grey level a pixel'
    """
    if math.isqrt(count) ** 2 == count:
        return ""
    for channels, names in _CHANNELS.items():
        side = math.isqrt(count // channels)
        if channels * side * side == count and side >= 8:
            return (
                f"{count:,} values, which are {channels} ({names}) for each of {side} x {side} pixels; "
                "write one grey level a pixel"
            )
    near = math.isqrt(count)
    return (
        f"{count:,} values, which are no square (side*side: {near * near:,} for {near} x {near}, "
        f"{(near + 1) ** 2:,} for {near + 1} x {near + 1}); write side*side grey levels"
    )


def refuse_channels(faces: Sequence[np.ndarray]) -> str:
    """What is wrong with faces of side*side values that are four a pixel, and the cure; empty for grey faces.

    Four a pixel are told by what grey faces do not have: of every four values one (alpha) is the same in all pixels of
    all faces, or three are equal in every pixel. The number of values alone says nothing: grey faces of 96 x 96 have as
    many as coloured ones of 48 x 48.

    Args:
        faces: uint8 (side*side,) each, of the first rows.
    """
    count = len(faces[0]) if faces else 0
    if count < SMALLEST or count % 4:
        return ""
    pixels = np.stack(faces).reshape(len(faces), -1, 4)
    if (pixels == pixels[0, 0, 0]).all():
        return ""
    alpha = any((pixels[..., n] == pixels[0, 0, n]).all() for n in (0, 3))
    equal = (pixels[..., 1:] == pixels[..., :1]).all(axis=(0, 1))  # to the first of the four: the second to the fourth
    grey = equal[0] and equal[1] and not equal[2]  # all four are equal in a face that was enlarged four times
    if alpha or grey:
        side = math.isqrt(count // 4)
        same = "every fourth of them is the same" if alpha else "three of every four are equal"
        return (
            f"{count:,} values, four (red, green, blue and alpha) for each of {side} x {side} pixels: {same}; "
            'write one grey level a pixel, as Image.convert("L") of Pillow returns it'
        )
    return ""
