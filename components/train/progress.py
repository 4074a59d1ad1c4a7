"""A progress bar over the steps of an epoch, for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from rich.progress import Progress


class Bar(keras.callbacks.Callback):
    """Shows how far the epoch is, and vanishes at its end. Reads no metrics, so it never makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.async_safe = True
        self.progress = Progress(transient=True)

    def on_train_begin(self, logs: Any = None) -> None:
        """An epoch is one `fit`."""
        self.progress = Progress(transient=True)
        self.progress.start()
        self.task = self.progress.add_task("epoch", total=(self.params or {}).get("steps"))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """A step, or several executed together."""
        self.progress.update(self.task, completed=batch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """The epoch's end."""
        self.close()

    def close(self) -> None:
        """Leaves the terminal as it was; also in the midst of an epoch that failed."""
        self.progress.stop()


@contextmanager
def progress_bar() -> Iterator[list[Any]]:
    """A progress bar, where somebody watches; taken away however training ends."""
    if not sys.stdout.isatty():
        yield []
        return
    bar = Bar()
    try:
        yield [bar]
    finally:
        bar.close()
