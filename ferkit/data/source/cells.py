"""Cutting a CSV into lines and cells: all lines of a text at once where they are as usual, else one line alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

_CELL = re.compile(rb'[ \t]*+(?:"([^"]*+(?:""[^"]*+)*+)"[ \t]*+|([^",]*+))(,|$)')
"""A cell and what ends it. Nothing is tried twice (`*+`): time goes with the length of a line, not with its square."""

_LINE_FEED, _RETURN, _COMMA, _QUOTE = b'\n\r,"'

_SPACE = 32
"""The highest byte that a blank line can start with."""


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


def find_lines(text: np.ndarray, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where lines start and stop, int64 (lines,) each; their ends (`\\n` or `\\r\\n`) and blank lines are left out.

    Args:
        text: uint8 (n,), whole lines with a line feed at the end of each.
        marks: int64, ascending positions, those of all line feeds among them.
    """
    feeds = marks[text[marks] == _LINE_FEED]
    starts = np.concatenate([[0], feeds[:-1] + 1])
    stops = feeds - ((feeds > starts) & (text[feeds - 1] == _RETURN))
    kept = stops > starts
    for n in np.flatnonzero(kept & (text[starts] <= _SPACE)):
        kept[n] = not text[starts[n] : stops[n]].tobytes().isspace()
    return starts[kept], stops[kept]


def find_cells(
    text: np.ndarray, marks: np.ndarray, starts: np.ndarray, stops: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells of the m lines that have a comma for every cell but one, and no quotes but around whole cells.

    These are cut as `split_cells` cuts them; any other line has to be cut by it.

    Args:
        text: uint8 (n,).
        marks: int64, ascending positions, those of all commas and quotes among them.
        starts: int64 (lines,), where lines start.
        stops: int64 (lines,), where they stop.
        count: cells that a line should have.

    Returns:
        lines: int64 (m,), which lines these are.
        begins: int64 (m, count), where their cells begin; blanks and quotes around them are still there.
        ends: int64 (m, count), where they end.
    """
    marked = text[marks]
    commas, quotes = marks[marked == _COMMA], marks[marked == _QUOTE]
    first = commas.searchsorted(starts)
    lines = np.flatnonzero(commas.searchsorted(stops) - first == count - 1)
    at = commas[first[lines, None] + np.arange(count - 1)]
    begins, ends = np.column_stack([starts[lines], at + 1]), np.column_stack([at, stops[lines]])
    if len(quotes):
        found = quotes.searchsorted(stops[lines]) - quotes.searchsorted(starts[lines])
        whole = found == 2 * np.count_nonzero(_quoted(text, begins, ends), axis=1)
        lines, begins, ends = lines[whole], begins[whole], ends[whole]
    return lines, begins, ends


def without_quotes(text: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where cells begin and end, int64 (m,) each, without the quotes around them."""
    quoted = _quoted(text, begins, ends)
    return begins + quoted, ends - quoted


def _quoted(text: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which cells have a quote at either end, bool of the shape of `begins`."""
    return (ends > begins + 1) & (text[begins] == _QUOTE) & (text[ends - 1] == _QUOTE)


class Words:
    """Words that cells may hold, each with a number, 0 or more."""

    def __init__(self, numbers: Mapping[bytes, int], spell: Callable[[bytes], bytes] = bytes) -> None:
        """Args: numbers: of the words, as they are usually spelled. spell: the usual spelling of any other cell."""
        self._numbers = numbers
        self._spell = spell
        self._of_length: list[tuple[int, np.ndarray, np.ndarray]] = []  # uint8 (words, length), int64 (words,)
        for length in sorted({len(word) for word in numbers}):
            words = [word for word in numbers if len(word) == length]
            letters = np.frombuffer(b"".join(words), np.uint8).reshape(-1, length)
            self._of_length.append((length, letters, np.array([numbers[word] for word in words])))

    def number(self, cell: bytes) -> int | None:
        """The number of the word that a cell is, None for any other."""
        return self._numbers.get(cell, self._numbers.get(self._spell(cell)))

    def look_up(self, text: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The numbers of the words in m cells: int64 (m,), -1 for any other.

        Args:
            text: uint8 (n,).
            begins: int64 (m,), where cells begin.
            ends: int64 (m,), where they end; blanks and quotes around a cell do not matter.
        """
        found = np.full(len(begins), -1)
        for length, words, numbers in self._of_length:
            cells = np.flatnonzero(ends - begins == length)
            same = (text[begins[cells, None] + np.arange(length)][:, None] == words).all(axis=2)  # (cells, words)
            cell, word = same.nonzero()
            found[cells[cell]] = numbers[word]
        for n in np.flatnonzero(found < 0):
            number = self.number(_bare(text[begins[n] : ends[n]].tobytes()))
            found[n] = -1 if number is None else number
        return found


def _bare(cell: bytes) -> bytes:
    """A cell without blanks and quotes around it."""
    cell = cell.strip(b" \t")
    return cell[1:-1].strip(b" \t") if len(cell) > 1 and cell[:1] == b'"' == cell[-1:] else cell
