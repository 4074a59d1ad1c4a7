"""Taking a CSV out of what it is packed in: known by its first bytes, not by its name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from components.bad_input import BadInput

GZIP = b"\x1f\x8b"


@contextmanager
def unpacked(raw: BinaryIO, name: str) -> Iterator[tuple[BinaryIO, str]]:
    """The uncompressed CSV in a file, and its name for sentences.

    Raises:
        BadInput: the file is damaged.
    """
    start = raw.read(2)
    raw.seek(0)
    if start != GZIP:
        yield raw, name
        return
    with gzip.GzipFile(fileobj=raw) as stream:
        try:
            yield cast(BinaryIO, stream), name
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadInput(f"{name}: is damaged or cut off ({error}); fetch or pack it again") from None
