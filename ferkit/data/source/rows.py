"""The rows of a FER2013-style CSV, from a stream of bytes to arrays, chunk by chunk in bounded memory.

A row is a line; cells may be quoted, and hold line feeds where that leaves no doubt (breaks.py). Blank lines are no
rows. Every other line is counted and is either read or rejected with a reason: nothing is dropped in silence.

What leaves no doubt is read: `3.0` is a label, `training` a Usage, `[70, 80]` and `70.0 80.0` are grey levels
(digits.py), and empty cells beyond the header's last column do not matter.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BufferedIOBase
from typing import Final

import numpy as np

from ferkit.cores import usable_cores
from ferkit.data import digest_pixels
from ferkit.data.source.breaks import has_open_quotes
from ferkit.data.source.cells import find_cells, find_lines, split_cells, without_quotes
from ferkit.data.source.columns import find_columns
from ferkit.data.source.digits import as_plain, read_one_field, scan
from ferkit.data.source.forms import SMALLEST, refuse_channels, refuse_count, refuse_values
from ferkit.data.source.lines import LONGEST_LINE, Lines, LineTooLong
from ferkit.data.source.row import EMPTY_USAGE, LABELS, USAGES, Rejected, constant_image, excerpt
from ferkit.errors import UserError

CHUNK: Final = 2 * 1024 * 1024
"""Bytes parsed at once. In pieces of 256 KiB, two threads take 1.6 times as long: they share one lock."""

LOOKED_AT: Final = 64
"""Rows from which the faces' size is taken."""


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows of a CSV, n of which can be used.

    Attributes:
        count: data rows these are, usable or not.
        row: int64 (n,), 0-based data row, ascending.
        emotion: uint8 (n,), 0..6; all 0 in an unlabelled CSV.
        split: uint8 (n,), index in `SPLITS`; all 0 in a CSV without Usage.
        pixels: uint8 (n, side, side).
        digests: `digest_pixels` of them.
        rejected: the others.
    """

    count: int
    row: np.ndarray
    emotion: np.ndarray
    split: np.ndarray
    pixels: np.ndarray
    digests: bytes
    rejected: list[Rejected]


class CsvReader:
    """Reads a CSV once, front to back.

    Attributes:
        columns: as its header names them.
        side: height and width of a face in pixels, as most of the first `LOOKED_AT` rows have it.
    """

    def __init__(
        self,
        stream: BufferedIOBase,
        name: str,
        *,
        reject_constant: bool = True,
        unlabelled: bool = False,
        split_by_seed: bool = False,
        chunk: int = CHUNK,
    ) -> None:
        """Reads the header and looks at the first rows.

        Args:
            stream: the uncompressed bytes.
            name: of the file, for sentences.
            reject_constant: whether a face of one grey level is rejected.
            unlabelled: whether to pass over the columns `emotion` and `Usage`, if there are any.
            split_by_seed: whether to pass over the column `Usage` alone.
            chunk: bytes to parse at once; changes no result.

        Raises:
            UserError: no usable header, no rows, or first rows that hold no grey faces in any form that is read: what
                they hold instead.
        """
        self.name = name
        self._reject_constant = reject_constant
        self._lines = Lines(stream, chunk)
        self._joined = False
        self.columns = find_columns(self._lines.header(), name)
        if unlabelled:
            self.columns = replace(self.columns, emotion=None, usage=None)
        if split_by_seed:
            self.columns = replace(self.columns, usage=None)
        self._lines.columns = self.columns
        cells = [split_cells(line) or [] for line in self._lines.peek(LOOKED_AT)]
        self._cells = self._count_cells(cells)
        self.side = self._find_side(
            {n: row[self.columns.pixels] for n, row in enumerate(cells) if self.columns.fit(row)}
        )

    def _count_cells(self, rows: list[list[bytes]]) -> int:
        """How many cells most rows have: as many header, or some empty ones more."""
        if not rows:
            raise UserError(f"{self.name}: has a header and no rows; use a CSV with a face on every line")
        fit = Counter(len(row) for row in rows if self.columns.fit(row))
        if not fit:
            has = f"{len(rows[0])} cells" if rows[0] else "a quote that is not closed"
            raise UserError(
                f"{self.name}: its header has {self.columns.count} columns, and none of the first {len(rows)} rows has "
                f"as many cells (row 0 has {has}); name every column, and put quotes around cells that hold commas"
            )
        return max(self.columns.count, fit.most_common(1)[0][0])

    def _find_side(self, fields: dict[int, bytes]) -> int:
        """Height and width of a face, from the pixels of the first rows, by row."""
        counts = {n: len(as_plain(field).split()) for n, field in fields.items()}
        read = {n: read_one_field(field, counts[n]) for n, field in fields.items()}
        faces = {n: one for n, one in read.items() if isinstance(one, np.ndarray) and len(one)}
        first = min(fields)
        sides = _count_squares(len(face) for face in faces.values())
        if not faces:  # another form, or a fault in each of them: then by the number of values, be they right or wrong
            self._refuse(first, refuse_values(fields[first]))
            sides = _count_squares(counts.values())
        if not sides:
            self._refuse(first, refuse_count(counts[first]))
            raise AssertionError("no number of values is a square, and the first one was")
        side = max(sides, key=lambda side: (sides[side], side))
        faces = {n: face for n, face in faces.items() if len(face) == side**2}
        self._refuse(min(faces, default=first), refuse_channels(list(faces.values())))
        if side**2 >= SMALLEST and faces and max(int(face.max()) for face in faces.values()) <= 1:
            self._refuse(min(faces), refuse_values(fields[min(faces)]))
        return side

    def _refuse(self, row: int, found: str) -> None:
        if found:
            raise UserError(f"{self.name}: row {row} has in `pixels` {found}")

    def sha256(self) -> str:
        """Of the uncompressed bytes read so far; of the whole CSV once `rows` has ended."""
        return self._lines.sha256.hexdigest()

    def rows(self) -> Iterator[Rows]:
        """All rows in order; chunks are parsed on all cores, a few ahead.

        Raises:
            UserError: a line is longer than `LONGEST_LINE`.
        """
        cores = usable_cores()
        first = 0
        pending: deque[tuple[np.ndarray, Future[Rows | None]]] = deque()
        with ThreadPoolExecutor(cores, thread_name_prefix="parse") as pool:
            chunks = self._lines.chunks()
            too_long, ended = False, False
            while not ended or pending:
                try:
                    while not ended and len(pending) < 2 * cores:
                        chunk = next(chunks, None)
                        if chunk is None:
                            ended = True
                        else:
                            pending.append((chunk, pool.submit(self._parse, chunk)))
                except LineTooLong:
                    ended = too_long = True
                if pending:
                    rows = pending[0][1].result()
                    if rows is None:
                        self._lines.give_back([chunk for chunk, _ in pending])
                        self._joined, ended = True, False
                        chunks = self._lines.chunks()
                        pending.clear()
                        continue
                    pending.popleft()
                    rows = _numbered_from(first, rows)
                    first += rows.count
                    yield rows
        if too_long:
            raise UserError(
                f"{self.name}: row {first} has over {LONGEST_LINE:,} bytes; use a CSV with one face a line, "
                "and a line feed at the end of each"
            )

    def _parse(self, text: np.ndarray) -> Rows | None:
        """The rows of a text of whole lines, uint8 (n,), numbered from 0; None where a line leaves a quote open.

        The usual line is read the fast way, together with all others; any other gets a look of its own.
        """
        columns = self.columns
        scanned = scan(text)
        if not self._joined and columns.count > 1 and has_open_quotes(text, scanned.odd):
            return None  # lines may have to be joined, and that is done in their order
        starts, stops = find_lines(text, scanned.odd)
        usual, begins, ends = find_cells(text, scanned.odd, starts, stops, self._cells)
        if self._cells > columns.count:
            bare = (begins[:, columns.count :] == ends[:, columns.count :]).all(axis=1)
            usual, begins, ends = usual[bare], begins[bare], ends[bare]
        emotion, split = np.zeros(len(starts), np.uint8), np.zeros(len(starts), np.uint8)
        for labels, column, known in ((emotion, columns.emotion, LABELS), (split, columns.usage, USAGES)):
            if column is not None:
                found = known.look_up(text, begins[:, column], ends[:, column])
                usual, begins, ends, found = (cells[found >= 0] for cells in (usual, begins, ends, found))
                labels[usual] = found
        fields = without_quotes(text, begins[:, columns.pixels], ends[:, columns.pixels])
        values, read = scanned.read_fields(*fields, self.side**2)
        values, row, rejected = self._reject_constant_images(values, usual[read])

        others = np.setdiff1d(np.arange(len(starts)), np.concatenate([row, [r.row for r in rejected]])).tolist()
        extra_rows, extra_values = [], []
        for number in others:
            judged = self._judge(text[starts[number] : stops[number]].tobytes())
            if isinstance(judged, tuple):
                extra_rows.append(number)
                emotion[number], split[number] = judged[0], judged[1]
                extra_values.append(judged[2])
            else:
                rejected.append(replace(judged, row=number))
        if extra_rows:
            row = np.concatenate([row, extra_rows])
            order = np.argsort(row, kind="stable")
            row, values = row[order], np.concatenate([values, extra_values])[order]
        rejected.sort(key=lambda one: one.row)
        pixels = values.reshape(-1, self.side, self.side)
        return Rows(len(starts), row, emotion[row], split[row], pixels, digest_pixels(pixels), rejected)

    def _judge(self, line: bytes) -> tuple[int, int, np.ndarray] | Rejected:
        """Emotion, split and pixels (side*side,) of any line, or why it has none: the definition of a usable row."""
        columns = self.columns
        cells = split_cells(line)
        if cells is None:
            return Rejected(0, "wrong number of fields", f"a quote that is not closed: {excerpt(line)}")
        if not columns.fit(cells):
            return Rejected(0, "wrong number of fields", f"{len(cells)} fields, not {columns.count}: {excerpt(line)}")
        emotion = 0 if columns.emotion is None else LABELS.number(cells[columns.emotion])
        split = 0 if columns.usage is None else USAGES.number(cells[columns.usage])
        if emotion is None:
            return Rejected(0, "unknown label", f"'{excerpt(cells[columns.emotion or 0])}'")
        if split is None:
            found = cells[columns.usage or 0]
            return Rejected(0, "unknown usage" if found else EMPTY_USAGE, f"'{excerpt(found)}'")
        pixels = read_one_field(cells[columns.pixels], self.side**2)
        if isinstance(pixels, tuple):
            return Rejected(0, *pixels)
        if self._reject_constant and pixels.min() == pixels.max():
            return constant_image(0, pixels)
        return emotion, split, pixels

    def _reject_constant_images(
        self, values: np.ndarray, row: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, list[Rejected]]:
        if not self._reject_constant:
            return values, row, []
        last, middle = values.shape[1] - 1, values.shape[1] // 2
        suspects = np.flatnonzero((values[:, 0] == values[:, last]) & (values[:, 0] == values[:, middle]))
        constant = suspects[(values[suspects, 1:] == values[suspects, :1]).all(axis=1)]
        rejected = [constant_image(int(row[n]), values[n]) for n in constant]
        return (
            (np.delete(values, constant, axis=0), np.delete(row, constant), rejected) if rejected else (values, row, [])
        )


def _count_squares(counts: Iterable[int]) -> Counter[int]:
    """How many faces there are of each side, by their numbers of values; those that are no squares are left out."""
    return Counter(math.isqrt(count) for count in counts if count and math.isqrt(count) ** 2 == count)


def _numbered_from(first: int, rows: Rows) -> Rows:
    """The rows with their numbers in the whole CSV."""
    rejected = [replace(one, row=one.row + first) for one in rows.rejected]
    return replace(rows, row=rows.row + first, rejected=rejected)
