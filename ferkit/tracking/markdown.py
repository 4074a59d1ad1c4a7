"""Text that is not ours, in Markdown that MLflow and Kubeflow show."""

from __future__ import annotations

import re
from collections.abc import Sequence


def escape(text: str) -> str:
    """The text as it is, on one line: nothing in it is markup.

    >>> escape("[x](http://y) | <b>")
    '\\\\[x\\\\]\\\\(http://y\\\\) \\\\| \\\\<b\\\\>'
    """
    return re.sub(r"([\\`*_{}\[\]()<>#|!])", r"\\\1", " ".join(text.split()))


def cut_rows(head: Sequence[str], rows: Sequence[str], longest: int) -> str:
    """Lines as one text of at most `longest` characters: what does not fit is left out by whole rows, and counted.

    >>> cut_rows(["| a |"], ["| 1 |", "| 22222222 |", "| 3 |"], 24)
    '| a |\\n| 1 |\\n2 more rows'
    """
    text = "\n".join([*head, *rows])
    if len(text) <= longest:
        return text
    for kept in range(len(rows) - 1, -1, -1):
        text = "\n".join([*head, *rows[:kept], f"{len(rows) - kept} more rows"])
        if len(text) <= longest:
            return text
    return "\n".join(head)[:longest]
