"""Output folders that appear whole or not at all, also when the process is killed at any moment."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ferkit.data.dataset import PROFILE
from ferkit.disk import writing_to
from ferkit.errors import UserError


@contextmanager
def atomic_folder(target: Path | str) -> Iterator[Path]:
    """A folder to write a data set into; it becomes `target` when the block ends well, and vanishes otherwise.

    The folder lies beside `target`, so that the last act is one rename. What a killed process left there is cleared
    away by the next one: its owner holds a lock on it, which ends with the process. An empty `target` (kfp makes one)
    is replaced, and so is an earlier data set. That one is moved aside first, a second rename: a process killed between
    the two leaves no `target`, and the next one that writes there begins by putting the earlier data set back.

    Raises:
        UserError: `target` holds something that is no data set, or cannot be made.
        OutOfReach: its disk takes no more.
    """
    target = Path(target).resolve()  # what a link points to is replaced, not the link
    _refuse_what_is_no_data_set(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):  # between its making and its lock, another would take the folder for abandoned
            _clear_abandoned(target)
            part = Path(tempfile.mkdtemp(dir=target.parent, prefix=_prefix(target, "part")))
            lock = os.open(part, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise UserError(f"{target}: cannot be made there ({error.strerror}); use another output folder") from error
    try:
        with writing_to(target, "another output folder"):
            yield part
            part.chmod(0o755)
            if _holds_something(target):
                _replace(target, part)
            else:
                part.replace(target)
    finally:
        os.close(lock)
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _refuse_what_is_no_data_set(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: is a file; use a folder for the data set")
    if _holds_something(target) and not (target / PROFILE).is_file():
        raise UserError(f"{target}: has files in it that are no data set; use a new or an empty folder")


def _holds_something(target: Path) -> bool:
    return target.is_dir() and any(target.iterdir())


def _prefix(target: Path, kind: str) -> str:
    """How the folders beside `target` begin: `part` is being written, `old` is an earlier data set moved aside."""
    return f".{target.name}-{kind}-"


def _replace(target: Path, part: Path) -> None:
    """Puts `part` in the place of an earlier data set."""
    old = part.with_name(part.name.replace(_prefix(target, "part"), _prefix(target, "old"), 1))
    lock = os.open(target, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # stays on the folder when it is moved: nobody puts it back meanwhile
        target.replace(old)
        part.replace(target)
        _remove(old)
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    """Removes a data set, its profile first: what a kill leaves of it is no data set."""
    with suppress(OSError):
        (folder / PROFILE).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _clear_abandoned(target: Path) -> None:
    """Removes the folders of processes that were killed: nobody holds their lock any more.

    An earlier data set that such a process had moved aside is put back, where nothing has come in its place.
    """
    old, part = _prefix(target, "old"), _prefix(target, "part")
    for folder in [path for path in target.parent.iterdir() if path.name.startswith((old, part))]:
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:  # its owner was faster
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.name.startswith(old) and (folder / PROFILE).is_file() and not _holds_something(target):
                folder.replace(target)
            else:
                _remove(folder)
        except OSError:  # its owner is alive, or another process has cleared it away
            pass
        finally:
            os.close(lock)
