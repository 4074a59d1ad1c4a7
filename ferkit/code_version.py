"""Which version of the code this is. kfp's cache sees neither imported code nor what an image's tag points to.

All digests are of the sources as installed here: the same sources have the same ones on every machine, so a pipeline
that was compiled on a laptop finds out whether the image on the cluster holds other code. The git commit, which a
run's tag names for people, cannot do that: a commit changes with the README, and an image holds no repository.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ferkit.errors import UserError

PACKAGES = ("components", "ferkit")
"""What steps are made of. `pipeline` only chains them."""

WEIGHTS = (
    "components.ingest.ingest",
    "components.balance.balance_classes",
    "ferkit.training.candidate",
    "ferkit.training.fit",
)
"""The modules, with all they import, on which the weights of a trained candidate depend. Plots are not among them."""

READ_BY = {"ferkit/training/recipes.py": "configs/recipes/*.yaml", "ferkit/report/page.py": "ferkit/report/templates/*"}
"""Modules, and the files that each reads: a step that imports the one depends on the others."""

FOUND_BY_NAME = "ferkit.networks.architectures"
"""A package whose modules are looked up by name: who imports it depends on all of them."""

_ROOT = Path(__file__).resolve().parent.parent
_MODULE = rf"((?:{'|'.join(PACKAGES)})\b[\w.]*)"
_IMPORT = re.compile(rf"^[ \t]*(?:from {_MODULE} import (\([^)]*\)|.*)|import {_MODULE})", re.MULTILINE)


def code_version() -> str:
    """A digest of every Python file of `PACKAGES`, and of the files that they read: 16 hexadecimal characters."""
    sources = [path for package in PACKAGES for path in (_ROOT / package).rglob("*.py")]
    return _digest([*sources, *(path for files in READ_BY.values() for path in _ROOT.glob(files))])


def step_version(step: str) -> str:
    """A digest of what a step's result depends on: its folder, the modules of `PACKAGES` it imports, their files."""
    return digest_of(f"components.{step}", files=True)


def weights_version() -> str:
    """A digest of what a candidate's weights depend on: with another one, a training is another training.

    Recipes are not in it: a candidate holds the values of its recipe.
    """
    return digest_of(*WEIGHTS)


@cache
def digest_of(*roots: str, files: bool = False) -> str:
    """A digest of modules and of all that they import from `PACKAGES`; a package stands for all of its modules.

    Args:
        roots: dotted names of modules.
        files: whether the files count that a module reads: recipes, templates.
    """
    found: set[Path] = set()
    waiting = [path for root in roots for path in _files_of(root)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imported(path))
    for module, read in READ_BY.items() if files else ():
        if _ROOT / module in found:
            found.update(_ROOT.glob(read))
    return _digest(found)


def check_step_version(step: str, expected: str) -> None:
    """Ends a step whose code is not the code that the pipeline was made from; an empty `expected` is not checked.

    Raises:
        UserError: the image holds other code, or somebody edited it while the pipeline ran.
    """
    here = step_version(step)
    if expected and here != expected:
        raise UserError(
            f"the pipeline was made from other code of {step} ({expected}) than is here ({here}); build the image from "
            "the commit that is compiled; on this machine, put the code back or start again (`--resume` goes on where "
            "it was)"
        )


def git_commit() -> str:
    """The commit of the working tree, with `-dirty` behind it when tracked files differ; empty outside a repository."""
    command = ["git", "-C", str(_ROOT), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _files_of(module: str) -> list[Path]:
    """The file of a module, or all files of a package; none for a name that is no module."""
    path = _ROOT.joinpath(*module.split("."))
    if path.is_dir():
        return sorted(path.rglob("*.py"))
    file = path.with_suffix(".py")
    return [file] if file.is_file() else []


def _imported(path: Path) -> list[Path]:
    """The modules that a file imports, anywhere in it, and the packages that are run on the way to them."""
    names: set[str] = set()
    for module, members, plain in _IMPORT.findall(path.read_text()):
        names.add(module or plain)
        names |= {f"{module}.{member}" for member in re.findall(r"(\w+)(?:\s+as\s+\w+)?", members) if module}
    files = set(_files_of(FOUND_BY_NAME)) if any(name.startswith(FOUND_BY_NAME) for name in names) else set[Path]()
    for name in names:
        parts = name.split(".")
        module = _ROOT.joinpath(*parts).with_suffix(".py")
        if module.is_file():
            files.add(module)
        for depth in range(2, len(parts) + 1):  # the top packages hold only the version's number
            package = _ROOT.joinpath(*parts[:depth], "__init__.py")
            if package.is_file():
                files.add(package)
    return sorted(files)


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(_ROOT).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
