"""What is said where a disk takes no more: which place, how much room there is, and what to do."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ferkit.errors import OutOfReach

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk; a quota that is used up; a limit on the size of files (`ulimit -f`)."""


@contextmanager
def writing_to(path: Path | str, cure: str) -> Iterator[None]:
    """Within it, a disk that takes no more is one sentence.

    Args:
        path: what is written; an operating system's error about a write that was begun names no file.
        cure: what to use instead, such as "another output folder".

    Raises:
        OutOfReach: naming the path.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise OutOfReach(no_room(error, path, cure)) from None


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk takes no more."""
    return isinstance(error, OSError) and error.errno in FULL


def no_room(error: OSError, path: Path | str = "", cure: str = "") -> str:
    """The sentence.

    Args:
        error: for which `is_full` holds.
        path: what was written; empty for what the error names. Where it names nothing: the temporary folder or the
            working folder, whichever has less room.
        cure: as of `writing_to`.
    """
    place = Path(path or error.filename2 or error.filename or min(Path(tempfile.gettempdir()), Path.cwd(), key=_free))
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    free = _free(there) / 1e6
    if error.errno == errno.EFBIG:
        return f"{place}: {error.strerror}; raise the limit on the size of files (ulimit -f)"
    instead = f", or use {cure}" if cure else ""
    return (
        f"{place}: {error.strerror} ({free:,.1f} MB free there); make room, which `ferpipe clean` does where it can"
        f"{instead}"
    )


def _free(folder: Path | str) -> int:
    return shutil.disk_usage(folder).free
