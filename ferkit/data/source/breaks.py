"""Line feeds inside quotes: a row that spans lines becomes one line, where that is beyond doubt.

A row is a line, so that a stray quote swallows no rows: the reader's first promise. A cell that holds a line feed ("two
lines" in a note, a face as NumPy prints it) is quoted, and its quotes are closed on a later line. Lines are made one
only if together they are a row, and no line of the quoted text could have been a face of its own; otherwise each
stays a line, and is rejected for its quote.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from ferkit.data.source.cells import split_cells
from ferkit.data.source.columns import Columns

MOST_LINES: Final = 64
"""Lines that a row can have: a face of 48 x 48 printed line by line, or a long note."""

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes that a row of several lines can have."""

_FACE = re.compile(rb"[0-9]+(?:[ \t]+[0-9]+){3}")
"""Four numbers in a row: what a note does not hold, and a swallowed face does."""

_PRINTED_FACE = re.compile(rb"[0-9\s.\[\]]*")

_LINE_FEED, _QUOTE, _BLANK = b'\n" '


def has_open_quotes(text: np.ndarray, marks: np.ndarray) -> bool:
    """Whether any line of a text of whole lines, uint8 (n,), has an odd number of quotes.

    Args:
        marks: int64, ascending positions, those of all quotes and line feeds among them.
    """
    marked = text[marks]
    quotes = marks[marked == _QUOTE]
    if not len(quotes):
        return False
    return bool((np.bincount(marks[marked == _LINE_FEED].searchsorted(quotes)) & 1).any())


def join_lines(text: bytearray, stop: int, columns: Columns, ended: bool) -> int:
    """Puts blanks in place of line feeds inside quotes.

    Args:
        text: whole lines up to `stop`, changed in place.
        stop: where the last whole line ends.
        columns: of the CSV.
        ended: whether no further line follows.

    Returns:
        Where rows end that no further line can change; what lies between there and `stop` has to be passed again.
    """
    if columns.count == 1 or text.find(b'"', 0, stop) < 0:
        return stop
    lines = np.frombuffer(text, np.uint8, stop)
    quotes, feeds = np.flatnonzero(lines == _QUOTE), np.flatnonzero(lines == _LINE_FEED)
    starts = np.concatenate([[0], feeds[:-1] + 1])
    unbalanced = np.flatnonzero(np.bincount(feeds.searchsorted(quotes), minlength=len(feeds)) & 1).tolist()
    at = 0
    while at < len(unbalanced):
        first = unbalanced[at]
        start, last = int(starts[first]), unbalanced[at + 1] if at + 1 < len(unbalanced) else None
        at += 1
        if last is None:
            if not ended and len(feeds) - first < MOST_LINES and stop - start <= MOST_BYTES:
                return start
        elif last - first < MOST_LINES and is_one_row(bytes(text[start : feeds[last]]), columns):
            for feed in feeds[first:last].tolist():
                text[feed] = _BLANK
            at += 1
    return stop


def is_one_row(lines: bytes, columns: Columns) -> bool:
    """Whether lines, the first with a quote that the last one closes, are one row beyond doubt.

    They are cells enough for a row, a label or Usage holds no line feed, the pixels (if they hold one) are nothing but
    numbers, and a note (if it holds one) has no four numbers in a row, as a swallowed face would.
    """
    cells = split_cells(lines.rstrip(b"\r")) if len(lines) <= MOST_BYTES else None
    if cells is None or not columns.fit(cells):
        return False
    for column, cell in enumerate(cells):
        if b"\n" not in cell:
            continue
        if column in (columns.emotion, columns.usage):
            return False
        if not _PRINTED_FACE.fullmatch(cell) if column == columns.pixels else _FACE.search(cell):
            return False
    return True
