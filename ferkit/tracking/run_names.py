"""What a run is called that nobody named."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

DRAWN: Final = re.compile(r"[a-z]+-[a-z]+-\d{1,4}")
"""What MLflow calls such a run: `worried-robin-823`."""


def dated_name(about: str) -> str:
    """When, so that names sort, and what about: `2026-11-25 18:00 fer2013`."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} {about}"


def is_drawn(name: str | None) -> bool:
    """Whether MLflow drew the name.

    >>> is_drawn("worried-robin-823"), is_drawn("2026-11-25 18:00 fer2013")
    (True, False)
    """
    return bool(name and DRAWN.fullmatch(name))
