"""Which version of the code this is. kfp's cache sees neither imported code nor what an image's tag points to."""

from __future__ import annotations

import hashlib
from pathlib import Path

import components


def code_version() -> str:
    """A digest of every Python file under `components/`, as installed here: 16 hexadecimal characters.

    Not the git commit: a commit changes with the README, and an image holds no repository. The same sources give the
    same version on every machine, so a pipeline compiled on a laptop finds out whether the image on the cluster holds
    other code.
    """
    root = Path(components.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
