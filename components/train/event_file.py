"""TensorBoard's event file of a training."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow

from ferkit.errors import UserError


class EventFile:
    """TensorBoard's event file, logged to the active run again after every epoch; nothing where `tensorboard` is off.

    It begins with the epochs of `history`, which a killed training had finished, and takes that training's place.
    """

    NAME = "events.out.tfevents.training"

    def __init__(self, wanted: bool, history: list[dict[str, float]]) -> None:
        self._history = history
        self._folder = tempfile.TemporaryDirectory() if wanted else None
        self._writer: Any = None

    def __enter__(self) -> EventFile:
        if self._folder:
            try:
                from tensorboard.summary import Writer
            except ImportError:
                cure = "pip install 'fer-pipeline[tensorboard]'"
                raise UserError(f"train.tensorboard: tensorboard is not installed; {cure}") from None
            self._writer = Writer(str(Path(self._folder.name, "written")))
            for number, epoch in enumerate(self._history, 1):
                self._write(number, epoch)
        return self

    def add(self, number: int, epoch: Mapping[str, float]) -> None:
        """Writes one epoch's metrics."""
        if self._writer and self._folder:
            self._write(number, epoch)
            self._writer.flush()
            (written,) = Path(self._folder.name, "written").iterdir()
            mlflow.log_artifact(str(shutil.copyfile(written, Path(self._folder.name, self.NAME))), "tensorboard")

    def _write(self, number: int, epoch: Mapping[str, float]) -> None:
        for name, value in epoch.items():
            self._writer.add_scalar(name, value, number)

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()
        if self._folder:
            self._folder.cleanup()
