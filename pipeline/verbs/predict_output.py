"""Output of `ferpipe predict` for any number of faces: JSON, refusals, a progress bar."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

import click

from ferkit.user_input import shown

SHOWN: Final = 20
"""Faces, and refusals, that are printed; `--output` and `--json` have all of them."""


class RefusalPrinter:
    """Names the first refusals on standard error as they come, and at the end how many more there were."""

    def __init__(self) -> None:
        self.refused = 0

    def add(self, records: Sequence[Mapping[str, Any]], refused: Sequence[str]) -> None:
        for sentence in refused[: max(0, SHOWN - self.refused)]:
            click.echo(shown(sentence), err=True)
        self.refused += len(refused)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self.refused > SHOWN:
            click.echo(f"and {self.refused - SHOWN:,} more; --json names them all", err=True)


class JsonPrinter:
    """One JSON object, printed as its parts come; refusals wait in a temporary file, for they stand at the end."""

    def __init__(self, head: Mapping[str, Any]) -> None:
        self.refused = 0
        self._answered = 0
        self._head = head
        self._waiting = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed by `__exit__`)

    def __enter__(self) -> Self:
        click.echo(json.dumps(dict(self._head), indent=2).removesuffix("\n}") + ',\n  "faces": [', nl=False)
        return self

    def add(self, records: Sequence[Mapping[str, Any]], refused: Sequence[str]) -> None:
        for record in records:
            click.echo(("," if self._answered else "") + "\n    " + json.dumps(record), nl=False)
            self._answered += 1
        for sentence in refused:
            self._waiting.write(("," if self.refused else "") + "\n    " + json.dumps(sentence))
            self.refused += 1

    def __exit__(self, kind: object, *_: object) -> None:
        with self._waiting as waiting:
            if kind is not None:
                return
            click.echo('\n  ],\n  "refused": [', nl=False)
            waiting.seek(0)
            for line in waiting:
                click.echo(line, nl=False)
            click.echo("\n  ]\n}")


@contextmanager
def bar_over(inputs: Sequence[str]) -> Iterator[Callable[[int], None]]:
    """Takes the bytes of the inputs that were read; on a terminal, a bar shows them, and vanishes at the end."""
    if not sys.stderr.isatty():
        yield lambda read: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from ferkit.serving.predict import size_of

    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size_of(inputs))
        yield lambda read: bar.advance(task, read)
