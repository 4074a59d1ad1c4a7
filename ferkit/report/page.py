"""Pages by Jinja2, from the templates beside this file: every value is escaped; a missing name raises."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ferkit.data import EMOTIONS
from ferkit.durations import duration


def render(template: str, **values: Any) -> str:
    """A whole HTML document: self-contained, without a script, readable on a desk and on a phone.

    Args:
        template: a file of `templates/`.
        values: what it names. Text is escaped when it is rendered.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ferkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["emotions"] = EMOTIONS
    environment.filters["percent"] = percent
    environment.filters["duration"] = duration
    return environment


def percent(value: float, start: float, end: float) -> float:
    """Where a value lies on a scale, 0 to 100; at the nearest end where it lies outside.

    >>> percent(0.5, -1.0, 1.0), percent(7.0, -1.0, 1.0)
    (75.0, 100.0)
    """
    return round(100 * (min(max(value, start), end) - start) / (end - start), 2)
