"""What the pipeline says when it was given something it cannot use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(Exception):
    """Something a person gave that cannot be used.

    The message is ONE sentence for that person: which file, row or value, and what to do. It is printed without a
    traceback and ends the step, or the command, with a non-zero exit status.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all of them.

    >>> nearest("epoch", ["epochs", "seed"])
    "did you mean 'epochs'?"
    >>> nearest("xyz", ["epochs", "seed"])
    'known: epochs, seed'
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"
