"""What the pipeline says when it cannot go on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final


class UserError(Exception):
    """User input or a request that cannot be used.

    The message is ONE sentence for that person: which file, row or value, and what to do. It is printed without a
    traceback and ends the step, or the command, with a non-zero exit status.
    """


class OutOfReach(UserError):
    """Something that the work needs and that did not answer, or took nothing: MLflow, a bucket, a disk.

    Another try may find it in reach, so it never ends a candidate for good: the step fails, and Kubeflow's retry or
    `ferpipe run --resume` goes on.
    """


def in_one_line(error: BaseException) -> str:
    """What an error says; of one that is no `UserError`, its type before it.

    >>> in_one_line(ValueError("no such\\nkernel")), in_one_line(UserError("no such file"))
    ('ValueError: no such kernel', 'no such file')
    """
    said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())


MOST_NAMED: Final = 20
"""Names that a sentence lists."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all of them.

    >>> nearest("epoch", ["epochs", "seed"])
    "did you mean 'epochs'?"
    >>> nearest("xyz", ["epochs", "seed"])
    'known: epochs, seed'
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"known: {', '.join(sorted(known)[:MOST_NAMED])}{more}"
