"""Opening a CSV wherever it lies and however it is packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader

from ferkit.data.source.files import Source, find_source
from ferkit.data.source.unpack import unpacked


@dataclass(frozen=True)
class OpenCsv:
    """A CSV that is being read.

    Attributes:
        stream: its uncompressed bytes.
        name: what to call it in sentences: the address, and the member of an archive.
        source: the file it comes from.
        packed: whether it is compressed there, or in an archive.
        member: which file of an archive it is; empty where there is none.
        others: files of the archive that would have done as well, or that have fewer of the columns.
        bytes_read: how far into the file, as it lies, reading has come.
    """

    stream: BufferedReader
    name: str
    source: Source
    packed: bool
    member: str = ""
    others: tuple[str, ...] = ()
    bytes_read: Callable[[], int] = int


@contextmanager
def open_csv(csv: str, version: str = "") -> Iterator[OpenCsv]:
    """Opens a CSV: a local path, `s3://`, `gs://`, `http(s)://` or `sample`; plain or packed (`#member` behind it).

    Args:
        csv: its address.
        version: the one that `Source.version` returned; where the place keeps versions, this very one is read.

    Raises:
        UserError: it is not there, may not be read, is damaged, or is an archive that is refused.
    """
    source = find_source(csv)
    with source.open(version) as raw, unpacked(raw, source.address, source.member) as found:
        packed = found.stream.raw is not raw
        yield OpenCsv(found.stream, found.name, source, packed, found.member, found.others, raw.tell)
