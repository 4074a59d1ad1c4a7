"""Output folders that appear whole or not at all, also when the process is killed at any moment."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.bad_input import BadInput
from components.faces.dataset import PROFILE


@contextmanager
def writing_whole(target: Path | str) -> Iterator[Path]:
    """A folder to write a data set into; it becomes `target` when the block ends well, and vanishes otherwise.

    The folder lies beside `target`, so that the last act is one rename. What a killed process left there is cleared
    away by the next one: its owner holds a lock on it, which ends with the process. An empty `target` (kfp makes one)
    is replaced, and so is an earlier data set.

    Raises:
        BadInput: `target` holds something that is no data set, or cannot be made.
    """
    target = Path(target).absolute()
    _refuse_what_is_no_data_set(target)
    prefix = f".{target.name}-part-"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(target.parent, prefix)
        part = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix))
    except OSError as error:
        raise BadInput(f"{target}: cannot be made there ({error.strerror}); give another output folder") from error
    lock = os.open(part, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield part
        part.chmod(0o755)
        if target.exists() and any(target.iterdir()):
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix))
            target.replace(old)
            part.replace(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            part.replace(target)
    finally:
        os.close(lock)
        shutil.rmtree(part, ignore_errors=True)


def _refuse_what_is_no_data_set(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise BadInput(f"{target}: is a file; give a folder for the data set")
    if target.is_dir() and any(target.iterdir()) and not (target / PROFILE).is_file():
        raise BadInput(f"{target}: has files in it that are no data set; give a new or an empty folder")


def _clear_abandoned(parent: Path, prefix: str) -> None:
    """Removes the folders of processes that were killed: nobody holds their lock any more."""
    for part in parent.glob(f"{prefix}*"):
        try:
            lock = os.open(part, os.O_RDONLY)
        except OSError:  # its owner was faster
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(part, ignore_errors=True)
        except OSError:  # its owner is alive
            pass
        finally:
            os.close(lock)
