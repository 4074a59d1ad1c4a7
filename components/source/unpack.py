"""Taking a CSV out of what it is packed in: gzip, zip, tar and tar.gz, known by their first bytes, not by their names.

Nothing is ever written to disk: members are read as streams. The member is found by its header: the first, in the
archive's order, of those with the most of the columns emotion, pixels and Usage. An archive that was made to do harm is
refused.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from components.bad_input import BadInput
from components.source.columns import find_columns
from components.source.lines import LONGEST_HEADER

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP, ZIP, TAR, TAR_AT = b"\x1f\x8b", b"PK\x03\x04", b"ustar", 257

MOST_MEMBERS: Final = 10_000

HIGHEST_RATIO: Final = 200
"""Bytes out for a byte in, beyond which an archive is a bomb. FER2013 has 3; deflate cannot go beyond 1,032."""

UNSUSPECTED: Final = 256 * 1024 * 1024
"""Bytes out that nobody minds, whatever the ratio."""

_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError)


@contextmanager
def unpacked(raw: BinaryIO, name: str) -> Iterator[tuple[io.BufferedReader, str]]:
    """The uncompressed CSV in a file, and its name for sentences.

    Args:
        raw: the file as it lies, seekable.
        name: its address.

    Raises:
        BadInput: the file is damaged, is no archive of a CSV, or is a hostile one. Also while the stream is read.
    """
    start = raw.read(len(ZIP))
    raw.seek(0)
    with ExitStack() as stack:
        if start == ZIP:
            yield _find_in_zip(raw, name, stack)
            return
        if start.startswith(GZIP):
            stream = _unzipped(raw, name)
        else:
            stream = io.BufferedReader(cast(Any, raw), 512 * 1024)
            stack.callback(stream.detach)  # whoever opened `raw` closes it
        if stream.peek(1)[TAR_AT : TAR_AT + len(TAR)] == TAR:
            yield _find_in_tar(raw, stream, name, stack)
        else:
            yield stream, name


class _Guarded(io.RawIOBase):
    """A stream of unpacked bytes: damage becomes a sentence, and a bomb is refused before it fills anything."""

    def __init__(
        self, stream: BinaryIO, name: str, packed: Callable[[], int], at_end: Callable[[], None] = lambda: None
    ) -> None:
        """Args: stream: what unpacks. name: for sentences. packed: bytes that went in so far, or will. at_end: call."""
        self._stream, self._name, self._packed, self._at_end, self._out = stream, name, packed, at_end, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._stream.read(len(view))
            if view and not data:
                self._at_end()
        except _DAMAGE as error:
            raise _damaged(self._name, error) from error
        self._out += len(data)
        if self._out > UNSUSPECTED and self._out > HIGHEST_RATIO * max(1, self._packed()):
            raise BadInput(
                f"{self._name}: unpacks to over {HIGHEST_RATIO} times its size, as no CSV of faces does; refused as a "
                "decompression bomb"
            )
        view[: len(data)] = data
        return len(data)


def _unzipped(raw: BinaryIO, name: str) -> io.BufferedReader:
    packed = gzip.GzipFile(fileobj=raw)
    return io.BufferedReader(_Guarded(cast(BinaryIO, packed), name, raw.tell), 512 * 1024)


def _find_in_zip(raw: BinaryIO, name: str, stack: ExitStack) -> tuple[io.BufferedReader, str]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(raw))
        members = [member for member in archive.infolist() if not member.is_dir()]
        _refuse_too_many(len(members), name)
        _refuse_hostile([member.filename for member in archive.infolist()], name)
        best: tuple[int, zipfile.ZipInfo] | None = None
        for member in members:
            if member.flag_bits & 1:
                raise BadInput(f"{name}: {member.filename} in it has a password; unpack it and give the CSV")
            with archive.open(member) as stream:
                known = _known_columns(stream.readline(LONGEST_HEADER))
            if known > (best[0] if best else 0):
                best = known, member
        if best is None:
            raise _no_csv(name, [member.filename for member in members])
        member = best[1]
        inside = f"{name}:{member.filename}"
        stream = stack.enter_context(archive.open(member))
        guarded = _Guarded(cast(BinaryIO, stream), inside, lambda: member.compress_size)
        return io.BufferedReader(guarded, 512 * 1024), inside
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _find_in_tar(
    raw: BinaryIO, stream: io.BufferedReader, name: str, stack: ExitStack
) -> tuple[io.BufferedReader, str]:
    """Reads the archive up to its CSV (to the end where that has no Usage: a better one could follow), and then again.

    What lies behind the CSV is looked at when that has been read.
    """
    try:
        names: list[str] = []
        best = 0, ""
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                names.append(member.name)
                _refuse_hostile(names[-1:], name)
                _refuse_too_many(len(names), name)
                file = archive.extractfile(member) if member.isreg() else None
                known = _known_columns(file.readline(LONGEST_HEADER)) if file else 0
                if known > best[0]:
                    best = known, member.name
                if known == 3:
                    break
        if not best[0]:
            raise _no_csv(name, names)
        raw.seek(0)
        packed = raw.read(2) == GZIP
        raw.seek(0)
        again = tarfile.open(fileobj=_unzipped(raw, name) if packed else raw, mode="r|")  # noqa: SIM115
        stack.enter_context(again)
        members = iter(again)
        for member in members:
            if member.name == best[1] and member.isreg():
                inside = f"{name}:{member.name}"
                guarded = _Guarded(
                    cast(BinaryIO, again.extractfile(member)),
                    inside,
                    lambda: 1 << 62,
                    lambda: _refuse_hostile((later.name for later in members), name),
                )
                return io.BufferedReader(guarded, 512 * 1024), inside
        raise _no_csv(name, names)
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _known_columns(header: bytes) -> int:
    """How many of the columns emotion, pixels and Usage a first line names; 0 without pixels."""
    try:
        return find_columns(header, "").known
    except BadInput:
        return 0


def _refuse_too_many(members: int, name: str) -> None:
    if members > MOST_MEMBERS:
        raise BadInput(f"{name}: has over {MOST_MEMBERS:,} members; give an archive of one CSV")


def _refuse_hostile(members: Iterable[str], name: str) -> None:
    for member in members:
        posix, windows = PurePosixPath(member), PureWindowsPath(member)
        if posix.is_absolute() or windows.drive or windows.root or ".." in posix.parts or ".." in windows.parts:
            raise BadInput(f"{name}: its member {member[:80]!a} points out of the archive; refused as hostile")


def _no_csv(name: str, members: list[str]) -> BadInput:
    found = ", ".join(ascii(member[:60]) for member in members[:5]) or "nothing"
    return BadInput(f"{name}: no file in it has a first line with a column `pixels` (in it: {found})")


def _damaged(name: str, error: Exception) -> BadInput:
    return BadInput(f"{name}: is damaged or cut off ({' '.join(str(error).split())}); fetch or pack it again")
