"""Whole lines of a stream of bytes, many at a time, in bounded memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Final

import numpy as np

from ferkit.data.source.breaks import MOST_LINES, join_lines
from ferkit.data.source.columns import Columns

LONGEST_HEADER: Final = 64 * 1024
"""Bytes in which the first line must end."""

LONGEST_LINE: Final = 8 * 1024 * 1024
"""Bytes of a row; a face of 1024 x 1024 needs 4 MiB."""

LOOKED_AT: Final = 4 * 1024 * 1024
"""Bytes after the header that `peek` may look at, however long the lines are."""


_LINE_FEED = 10


class LineTooLong(Exception):
    """A line has more than `LONGEST_LINE` bytes."""


class Lines:
    """Reads a stream once: `header`, then `peek` if wanted, then `chunks`.

    Attributes:
        sha256: of all bytes read so far.
        columns: what `header` said, set by its reader before `peek`.
    """

    def __init__(self, stream: BufferedIOBase, chunk: int) -> None:
        self.sha256 = hashlib.sha256()
        self.columns: Columns | None = None
        self._stream = stream
        self._chunk = chunk
        self._unread = b""
        self._cut: deque[np.ndarray] = deque()
        self._joins = False

    def _read(self) -> bytes:
        data = self._stream.read(self._chunk)
        self.sha256.update(data)
        return data

    def header(self) -> bytes:
        """The first line with its end, or what there is of it in `LONGEST_HEADER` bytes."""
        while b"\n" not in self._unread and len(self._unread) < LONGEST_HEADER and (data := self._read()):
            self._unread += data
        stop = self._unread.find(b"\n") + 1 or len(self._unread)
        line, self._unread = self._unread[: min(stop, LONGEST_HEADER)], self._unread[stop:]
        return line

    def peek(self, most: int) -> list[bytes]:
        """The next lines without their ends, blank ones left out: `most` of them, or what lies in `LOOKED_AT` bytes.

        They stay to be read. The first line is returned whole, however long it is (up to `LONGEST_LINE`).
        """
        ended = False
        while not ended and self._unread.count(b"\n") < 2 * most + MOST_LINES and len(self._unread) < LOOKED_AT:
            data = self._read()
            self._unread += data
            ended = not data
        while not ended and b"\n" not in self._unread and len(self._unread) <= LONGEST_LINE:
            data = self._read()
            self._unread += data
            ended = not data
        seen = bytearray(self._unread + b"\n" if ended else self._unread)
        first = seen.find(b"\n") + 1 or len(seen)
        stop = seen.rfind(b"\n", 0, max(LOOKED_AT, first)) + 1
        whole = (join_lines(seen, stop, self.columns, ended) if self.columns and stop else stop) or first
        lines = bytes(seen[:whole]).split(b"\n")
        return [line.rstrip(b"\r") for line in lines if not line.isspace() and line][:most]

    def chunks(self) -> Iterator[np.ndarray]:
        """All further lines, each with a line feed at its end, in pieces of about the chunk size, uint8 (n,).

        Raises:
            LineTooLong: after all lines before that one.
        """
        reads = len(self._unread) < self._chunk  # else what `peek` looked at, or was put back, is a chunk already
        while True:
            buffer = bytearray(len(self._unread) + self._chunk * reads)
            buffer[: len(self._unread)] = self._unread
            with memoryview(buffer) as view:
                filled = len(self._unread) + self._stream.readinto(view[len(self._unread) :])
                self.sha256.update(view[len(self._unread) : filled])
            ended = reads and filled == len(self._unread)
            if ended and filled and buffer[filled - 1] != _LINE_FEED:
                buffer[filled] = _LINE_FEED
                filled += 1
            whole = buffer.rfind(b"\n", 0, filled) + 1
            too_long = filled - whole > LONGEST_LINE
            cut = self._join(buffer, whole, ended or too_long)
            self._unread = bytes(buffer[cut:filled])
            reads = not cut or len(self._unread) < self._chunk
            self._cut.extend(_pieces(buffer, cut, self._chunk))
            while self._cut:
                yield self._cut.popleft()
            if too_long:
                raise LineTooLong
            if ended:
                break

    def give_back(self, chunks: list[np.ndarray]) -> None:
        """Takes back the last chunks, one of which has a quote that its line leaves open; from there on, rows that span
        lines are made one line each. `chunks` has to be called again."""
        self._unread = b"".join([chunk.tobytes() for chunk in (*chunks, *self._cut)] + [self._unread])
        self._cut.clear()
        self._joins = True

    def _join(self, text: bytearray, stop: int, ended: bool) -> int:
        """Where whole rows end in `text`, which holds whole lines up to `stop`."""
        return join_lines(text, stop, self.columns, ended) if self._joins and self.columns and stop else stop


def _pieces(lines: bytearray, stop: int, size: int) -> Iterator[np.ndarray]:
    """Whole lines up to `stop`, in pieces of at most about twice `size` bytes; a longer line is a piece of its own."""
    start = 0
    while stop - start > 2 * size:
        end = lines.rfind(b"\n", start, start + size) + 1 or lines.find(b"\n", start + size, stop) + 1
        yield np.frombuffer(lines, np.uint8, end - start, start)
        start = end
    if start < stop:
        yield np.frombuffer(lines, np.uint8, stop - start, start)
