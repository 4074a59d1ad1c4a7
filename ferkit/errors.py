"""What the pipeline says when it cannot go on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final


class UserError(Exception):
    """Something a person gave, or asked for, that cannot be used.

    The message is ONE sentence for that person: which file, row or value, and what to do. It is printed without a
    traceback and ends the step, or the command, with a non-zero exit status.
    """


class OutOfReach(UserError):
    """Something that the work needs and that did not answer, or took nothing: MLflow, a bucket, a disk.

    Another try may find it in reach, so it never ends a candidate for good: the step fails, and Kubeflow's retry or
    `ferpipe run --resume` goes on.
    """


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
