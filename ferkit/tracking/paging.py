"""What MLflow hands out a page at a time, to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mlflow.store.entities import PagedList

Found = TypeVar("Found")


def pages(search: Callable[..., PagedList[Found]], *arguments: Any, **settings: Any) -> Iterator[PagedList[Found]]:
    """Every page, each requested when it is needed.

    Args:
        search: a method of MLflow's client that takes a `page_token`.
        arguments: of it.
        settings: of it, by name.
    """
    page = search(*arguments, **settings)
    yield page
    while page.token:
        page = search(*arguments, page_token=page.token, **settings)
        yield page
