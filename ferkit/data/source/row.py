"""One row of a FER2013-style CSV: its label, Usage and grey levels, or why it has none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from ferkit.data import EMOTIONS, SPLITS, USAGE
from ferkit.data.source.cells import Words


def _spell_label(cell: bytes) -> bytes:
    """`3` for `3.0`, `3.` and `3.00e+00`."""
    decimal = _DECIMAL.fullmatch(cell)
    return decimal[1] if decimal else cell


def _spell_usage(cell: bytes) -> bytes:
    """`publictest` for `PublicTest`, `PUBLICTEST`, `public_test` and `Public Test`."""
    return _BEFORE_TEST.sub(b"", cell.lower())


_DECIMAL = re.compile(rb"([0-9])\.0*(?:e\+00)?")
_BEFORE_TEST = re.compile(rb"(?<=[ce])[ _-](?=test$)")

LABELS: Final = Words({str(number).encode(): number for number in range(len(EMOTIONS))}, _spell_label)
USAGES: Final = Words(
    {word.encode(): SPLITS.index(split) for usage, split in USAGE.items() for word in (usage, usage.lower())},
    _spell_usage,
)

EMPTY_USAGE: Final = "empty usage"
"""Why a row is rejected that names no split."""


@dataclass(frozen=True)
class Rejected:
    """A row that cannot be used: its 0-based number, the reason, and what was found in it."""

    row: int
    reason: str
    excerpt: str


def constant_image(row: int, pixels: np.ndarray) -> Rejected:
    """Why a face of one grey level, uint8 (side*side,), is rejected."""
    return Rejected(row, "constant image", f"every pixel is {pixels[0]}")


def excerpt(text: bytes) -> str:
    """The first 60 bytes at most, on one line: what cannot be printed is escaped."""
    shown = "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in text[:60])
    return f"{shown}..." if len(text) > 60 else shown
