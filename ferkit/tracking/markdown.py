"""Text that is not ours, in Markdown that MLflow and Kubeflow show."""

from __future__ import annotations

import re


def escape(text: str) -> str:
    """The text as it is, on one line: nothing in it is markup.

    >>> escape("[x](http://y) | <b>")
    '\\\\[x\\\\]\\\\(http://y\\\\) \\\\| \\\\<b\\\\>'
    """
    return re.sub(r"([\\`*_{}\[\]()<>#|!])", r"\\\1", " ".join(text.split()))
