"""Whole lines of a stream of bytes, many at a time, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Final

import numpy as np

LONGEST_HEADER: Final = 64 * 1024
"""Bytes in which the first line must end."""

LONGEST_LINE: Final = 8 * 1024 * 1024
"""Bytes of a row; a face of 1024 x 1024 needs 4 MiB."""

LOOKED_AT: Final = 4 * 1024 * 1024
"""Bytes after the header that `peek` may look at, however long the lines are."""


class LineTooLong(Exception):
    """A line has more than `LONGEST_LINE` bytes."""


class Lines:
    """Reads a stream once: `header`, then `peek` if wanted, then `chunks`.

    Attributes:
        sha256: of all bytes read so far.
    """

    def __init__(self, stream: BufferedIOBase, chunk: int) -> None:
        self.sha256 = hashlib.sha256()
        self._stream = stream
        self._chunk = chunk
        self._unread = b""

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

        They stay to be read. The first line is given whole, however long it is (up to `LONGEST_LINE`).
        """
        ended = False
        while not ended and self._unread.count(b"\n") < 2 * most and len(self._unread) < LOOKED_AT:
            data = self._read()
            self._unread += data
            ended = not data
        while not ended and b"\n" not in self._unread and len(self._unread) <= LONGEST_LINE:
            data = self._read()
            self._unread += data
            ended = not data
        lines = self._unread[: max(LOOKED_AT, self._unread.find(b"\n"))].split(b"\n")
        if len(lines) > 1 and not ended:
            lines.pop()  # may go on
        return [line.rstrip(b"\r") for line in lines if not line.isspace() and line][:most]

    def chunks(self) -> Iterator[np.ndarray]:
        """All further lines, each with a line feed at its end, in pieces of about the chunk size, uint8 (n,).

        Raises:
            LineTooLong: after all lines before that one.
        """
        cut = self._unread.rfind(b"\n") + 1
        if cut:
            for piece in _pieces(self._unread[:cut], self._chunk):
                yield np.frombuffer(piece, np.uint8)
        rest, self._unread = self._unread[cut:], b""
        while True:
            buffer = bytearray(len(rest) + self._chunk)
            buffer[: len(rest)] = rest
            with memoryview(buffer) as view:
                filled = len(rest) + self._stream.readinto(view[len(rest) :])
                self.sha256.update(view[len(rest) : filled])
            if filled == len(rest):
                break
            cut = buffer.rfind(b"\n", len(rest), filled) + 1
            if cut:
                yield np.frombuffer(buffer, np.uint8, cut)
            rest = bytes(buffer[cut:filled])
            if len(rest) > LONGEST_LINE:
                raise LineTooLong
        if rest:
            yield np.frombuffer(rest + b"\n", np.uint8)


def _pieces(lines: bytes, size: int) -> Iterator[bytes]:
    """Whole lines cut into pieces of at most about `size` bytes; a longer line is a piece of its own."""
    start = 0
    while len(lines) - start > 2 * size:
        stop = lines.rfind(b"\n", start, start + size) + 1 or lines.find(b"\n", start + size) + 1
        yield lines[start:stop]
        start = stop
    if start < len(lines):
        yield lines[start:]
