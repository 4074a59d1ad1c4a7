"""Cutting one line of a CSV into its cells."""

from __future__ import annotations

import re

_CELL = re.compile(rb'[ \t]*(?:"([^"]*(?:""[^"]*)*)"[ \t]*|([^",]*))(,|$)')


def split_cells(line: bytes) -> list[bytes] | None:
    """The cells of a line without its end, blanks around them and quotes removed; None where quotes are not closed.

    >>> split_cells(b'3, "70 80, 82" ,Training')
    [b'3', b'70 80, 82', b'Training']
    """
    if b'"' not in line:
        return [cell.strip(b" \t") for cell in line.split(b",")]
    cells, at = [], 0
    while match := _CELL.match(line, at):
        quoted, bare, end = match.groups()
        cells.append(bare.strip(b" \t") if quoted is None else quoted.replace(b'""', b'"').strip(b" \t"))
        if not end:
            return cells
        at = match.end()
    return None
