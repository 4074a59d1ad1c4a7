"""Taking a CSV out of what it is packed in: gzip, zip, tar and tar.gz, known by their first bytes, not by their names.

Nothing is ever written to disk: members are read as streams. The member is the one that the address names behind
`#`, or is found by its header: the first, in the archive's order, of those with the most of the columns
emotion, pixels and Usage. Of a member that occurs twice the last counts, as in any program that unpacks it. An archive
that was made to do harm is refused.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from ferkit.data.source.columns import find_columns
from ferkit.data.source.lines import LONGEST_HEADER
from ferkit.errors import UserError
from ferkit.user_input import shown

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP, ZIP, TAR, TAR_AT = b"\x1f\x8b", b"PK\x03\x04", b"ustar", 257

MOST_MEMBERS: Final = 10_000

HIGHEST_RATIO: Final = 200
"""Bytes out for a byte in, beyond which an archive is a bomb. FER2013 has 3; deflate cannot go beyond 1,032."""

UNSUSPECTED: Final = 256 * 1024 * 1024
"""Unpacked bytes that are accepted whatever the ratio."""

_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError)


@dataclass(frozen=True)
class Unpacked:
    """A CSV in a file.

    Attributes:
        stream: its uncompressed bytes.
        name: for sentences: the file's address, and the member behind a colon.
        member: of an archive; else empty.
        others: of the archive's members those that have a column `pixels` as well.
    """

    stream: io.BufferedReader
    name: str
    member: str = ""
    others: tuple[str, ...] = ()


@contextmanager
def unpacked(raw: BinaryIO, name: str, member: str = "") -> Iterator[Unpacked]:
    """The uncompressed CSV in a file.

    Args:
        raw: the file as it lies, seekable.
        name: its address.
        member: which file of an archive, by its name there, or by the last part of it; empty for the best.

    Raises:
        UserError: the file is damaged, is no archive of a CSV, or is a hostile one. Also while the stream is read.
    """
    start = raw.read(len(ZIP))
    raw.seek(0)
    with ExitStack() as stack:
        if start == ZIP:
            yield _find_in_zip(raw, name, member, stack)
            return
        if start.startswith(GZIP):
            stream = _unzipped(raw, name)
        else:
            stream = io.BufferedReader(cast(Any, raw), 512 * 1024)
            stack.callback(stream.detach)  # whoever opened `raw` closes it
        if stream.peek(1)[TAR_AT : TAR_AT + len(TAR)] == TAR:
            yield _find_in_tar(raw, stream, name, member, stack)
        elif member:
            raise UserError(
                f"{name}: is no archive, and so has no {shown(member)} in it; leave out `#` and what follows"
            )
        else:
            yield Unpacked(stream, name)


def _choose(known: dict[str, int], asked: str, name: str) -> tuple[str, tuple[str, ...]]:
    """The member to read, and the others that hold faces.

    Args:
        known: per member, in the archive's order, how many of the three columns its first line names.
        asked: the member that a person named, if one did.
        name: of the archive, for sentences.
    """
    if asked:
        named = [member for member in known if asked in (member, PurePosixPath(member).name)]
        exact = [member for member in named if member == asked]
        if len(named) != 1 and not exact:
            found = ", ".join(shown(member) for member in [*named, *known][:5]) or "nothing"
            raise UserError(
                f"{name}: {'several files' if named else 'no file'} in it {'are' if named else 'is'} called "
                f"{shown(asked)} (in it: {found}); use the whole name of one behind `#`"
            )
        chosen = (exact or named)[0]
    else:
        chosen = max(known, key=lambda member: known[member], default="")
        if not known.get(chosen):
            raise _no_csv(name, list(known))
    return chosen, tuple(member for member, columns in known.items() if columns and member != chosen)


class _Guarded(io.RawIOBase):
    """A stream of unpacked bytes: damage becomes a sentence, and a bomb is refused before it fills anything."""

    def __init__(self, stream: BinaryIO, name: str, packed: Callable[[], int]) -> None:
        """Args: stream: what unpacks. name: for sentences. packed: bytes that went in so far, or will."""
        self._stream, self._name, self._packed, self._out = stream, name, packed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._stream.read(len(view))
        except _DAMAGE as error:
            raise _damaged(self._name, error) from error
        self._out += len(data)
        if self._out > UNSUSPECTED and self._out > HIGHEST_RATIO * max(1, self._packed()):
            raise UserError(
                f"{self._name}: unpacks to over {HIGHEST_RATIO} times its size, as no CSV of faces does; refused as a "
                "decompression bomb"
            )
        view[: len(data)] = data
        return len(data)


def _unzipped(raw: BinaryIO, name: str) -> io.BufferedReader:
    packed = gzip.GzipFile(fileobj=raw)
    return io.BufferedReader(_Guarded(cast(BinaryIO, packed), name, raw.tell), 512 * 1024)


def _find_in_zip(raw: BinaryIO, name: str, asked: str, stack: ExitStack) -> Unpacked:
    try:
        archive = stack.enter_context(zipfile.ZipFile(raw))
        members = {member.filename: member for member in archive.infolist() if not member.is_dir()}
        _refuse_too_many(len(archive.infolist()), name)
        _refuse_hostile([member.filename for member in archive.infolist()], name)
        known: dict[str, int] = {}
        for member in members.values():
            if member.flag_bits & 1:
                raise UserError(f"{name}: {shown(member.filename)} in it has a password; unpack it and use the CSV")
            with archive.open(member) as stream:
                known[member.filename] = _known_columns(stream.readline(LONGEST_HEADER))
        chosen, others = _choose(known, asked, name)
        packed_size = members[chosen].compress_size
        inside = f"{name}:{shown(chosen)}"
        stream = stack.enter_context(archive.open(members[chosen]))
        guarded = _Guarded(cast(BinaryIO, stream), inside, lambda: packed_size)
        return Unpacked(io.BufferedReader(guarded, 512 * 1024), inside, chosen, others)
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _find_in_tar(raw: BinaryIO, stream: io.BufferedReader, name: str, asked: str, stack: ExitStack) -> Unpacked:
    """Reads the archive to its end, for a better CSV or a later copy of the same can follow, and then again."""
    try:
        known: dict[str, int] = {}
        copies: Counter[str] = Counter()
        members = 0
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                members += 1
                _refuse_hostile([member.name], name)
                _refuse_too_many(members, name)
                if file := archive.extractfile(member) if member.isreg() else None:
                    known[member.name] = _known_columns(file.readline(LONGEST_HEADER))
                    copies[member.name] += 1
        chosen, others = _choose(known, asked, name)
        raw.seek(0)
        packed = raw.read(2) == GZIP
        raw.seek(0)
        again = tarfile.open(fileobj=_unzipped(raw, name) if packed else raw, mode="r|")  # noqa: SIM115
        stack.enter_context(again)
        for member in again:
            if member.name == chosen and member.isreg():
                copies[chosen] -= 1
                if not copies[chosen]:
                    inside = f"{name}:{shown(chosen)}"
                    guarded = _Guarded(cast(BinaryIO, again.extractfile(member)), inside, lambda: 1 << 62)
                    return Unpacked(io.BufferedReader(guarded, 512 * 1024), inside, chosen, others)
        raise UserError(f"{name}: has changed while it was read; run again")
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _known_columns(header: bytes) -> int:
    """How many of the columns emotion, pixels and Usage a first line names; 0 without pixels."""
    try:
        return find_columns(header, "").known
    except UserError:
        return 0


def _refuse_too_many(members: int, name: str) -> None:
    if members > MOST_MEMBERS:
        raise UserError(f"{name}: has over {MOST_MEMBERS:,} members; use an archive of one CSV")


def _refuse_hostile(members: Iterable[str], name: str) -> None:
    for member in members:
        posix, windows = PurePosixPath(member), PureWindowsPath(member)
        if posix.is_absolute() or windows.drive or windows.root or ".." in posix.parts or ".." in windows.parts:
            raise UserError(f"{name}: its member {member[:80]!a} points out of the archive; refused as hostile")


def _no_csv(name: str, members: list[str]) -> UserError:
    found = ", ".join(ascii(member[:60]) for member in members[:5]) or "nothing"
    return UserError(f"{name}: no file in it has a first line with a column `pixels` (in it: {found})")


def _damaged(name: str, error: Exception) -> UserError:
    return UserError(f"{name}: is damaged or cut off ({' '.join(str(error).split())}); fetch or pack it again")
