"""Whole lines of a stream of bytes, many at a time, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO, Final

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

    def __init__(self, stream: BinaryIO, chunk: int) -> None:
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

    def chunks(self) -> Iterator[bytes]:
        """All further lines, each with a line feed at its end, in pieces of about the chunk size.

        Raises:
            LineTooLong: after all lines before that one.
        """
        cut = self._unread.rfind(b"\n") + 1
        if cut:
            yield from _pieces(self._unread[:cut], self._chunk)
        parts, length = [self._unread[cut:]], len(self._unread) - cut  # of a line whose end was not yet seen
        self._unread = b""
        while data := self._read():
            cut = data.rfind(b"\n") + 1
            if cut:
                yield from _pieces(b"".join([*parts, data[:cut]]), self._chunk)
                parts, length = [], 0
            parts.append(data[cut:])
            length += len(data) - cut
            if length > LONGEST_LINE:
                raise LineTooLong
        rest = b"".join(parts)
        if rest:
            yield from _pieces(rest if rest.endswith(b"\n") else rest + b"\n", self._chunk)


def _pieces(lines: bytes, size: int) -> Iterator[bytes]:
    """Whole lines cut into pieces of at most about `size` bytes; a longer line is a piece of its own."""
    start = 0
    while len(lines) - start > 2 * size:
        stop = lines.rfind(b"\n", start, start + size) + 1 or lines.find(b"\n", start + size) + 1
        yield lines[start:stop]
        start = stop
    yield lines[start:] if start else lines
