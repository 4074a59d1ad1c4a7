"""Reading a file over a network as if it lay here: seekable, and taken up again where a connection broke."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ferkit.errors import UserError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TRIES: Final = 5
"""Times a broken connection is taken up again without a single byte gained."""

FIRST_PAUSE: Final = 0.2
"""Seconds before the second try; twice as long before each further one."""

LONGEST: Final = 20.0
"""Seconds without a byte gained after which a broken connection is not taken up again, whatever the tries left."""


class Stream(Protocol):
    """A response that is being read."""

    def read(self, size: int) -> bytes: ...

    def close(self) -> Any: ...


class RemoteFile(io.RawIOBase):
    """The bytes of a file of known size; reopened at the right byte after a seek and after a broken connection."""

    def __init__(
        self, address: str, size: int | None, open_at: Callable[[int], Stream], broken: tuple[type[Exception], ...]
    ) -> None:
        """Opens nothing yet.

        Args:
            address: for sentences.
            size: bytes; None where the server does not say, and then nothing tells a cut from the end.
            open_at: the rest of the file from a byte on. Raises UserError for what no retry can cure, such as a file
                that has changed.
            broken: what `open_at` and reading raise when a connection breaks.
        """
        self._address, self._size, self._open_at, self._broken = address, size, open_at, broken
        self._at = 0
        self._stream: Stream | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END:
            if self._size is None:
                raise UserError(
                    f"{self._address}: a .zip is read from its end, and the server does not say where that is; "
                    "fetch it and use its path"
                )
            offset += self._size
        elif whence == os.SEEK_CUR:
            offset += self._at
        if offset != self._at:
            self._drop()
            self._at = offset
        return offset

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._size is not None:
            view = view[: max(0, self._size - self._at)]
        if not view:
            return 0
        data = self._read_on(len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read_on(self, most: int) -> bytes:
        """The next bytes, 1 to `most`; none at the end of a file of unknown size."""
        pause, end = FIRST_PAUSE, time.monotonic() + LONGEST
        for last in (False,) * TRIES + (True,):
            try:
                if self._stream is None:
                    self._stream = self._open_at(self._at)
                data = self._stream.read(most)
                if data or self._size is None:
                    return data
                raise ConnectionError("it ended early")
            except (*self._broken, OSError) as error:
                self._drop()
                if last or time.monotonic() + pause > end:
                    of = "" if self._size is None else f" of {self._size:,}"
                    raise UserError(
                        f"{self._address}: the connection broke at byte {self._at:,}{of} and could not be taken "
                        f"up again ({error}); try again, or fetch the file and use its path"
                    ) from error
            time.sleep(pause)
            pause *= 2
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        self._drop()
        super().close()

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
