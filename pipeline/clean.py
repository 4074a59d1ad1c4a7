"""Files of local runs that are no longer needed: found, measured, and removed.

MLflow is read and never changed: the record of promotions, runs, versions and their models are its own, and stay.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlflow

from ferkit.errors import UserError
from ferkit.registry.data import DATA_URI
from ferkit.registry.versions import our_models, versions
from ferkit.store_errors import StoreError, classify
from ferkit.tracking.candidates import state_of
from ferkit.tracking.names import State
from ferkit.tracking.owner import Owner, holds_lock
from ferkit.tracking.store import sqlite_path
from pipeline.local import Home
from pipeline.local_cache import data_sets_of

DONE: Final = (State.TRAINED, State.EVALUATED, State.PRUNED, State.FAILED)
"""A candidate that has come so far is not trained again, so its training state is of no use."""

STORE_SECONDS: Final = 3600
"""Age after which a half-made SQLite store is abandoned; making one takes seconds."""


@dataclass(frozen=True)
class Waste:
    """A file or folder that may go.

    Attributes:
        kind: what it is, for people.
        path: where.
        bytes: that its files hold.
    """

    kind: str
    path: Path
    bytes: int

    def remove(self) -> None:
        """Removes it; what is gone already is no error."""
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


def find_waste(client: mlflow.MlflowClient, home: Home, older_than: float) -> list[Waste]:
    """What may go from a home folder, and from beside its SQLite store.

    Args:
        client: of the MLflow to which the home's runs were logged.
        home: of local runs.
        older_than: seconds since which no run used a cached data set, or wrote to a run's files or log.

    Raises:
        UserError: a run is under way there, whose files cannot be told from an ended one's.
    """
    _refuse_living(home)
    before = time.time() - older_than
    kept = _data_of_versions(client)
    entries = [entry for entry in sorted(home.cache.glob("*.json")) if entry.stat().st_mtime < before]
    for entry in set(home.cache.glob("*.json")) - set(entries):
        kept += [folder.resolve() for folder in data_sets_of(entry)]
    found: list[tuple[str, Path]] = [
        *(("temporary files of killed runs", path) for path in home.running.glob("*/tmp")),
        *(("half-made stores", path) for path in _half_made_stores(client.tracking_uri)),
        *(("cache entries", path) for path in entries),
        *(("files of runs", path) for path in _runs_files(home, before, kept)),
        *(("states of finished trainings", path) for path in _finished_states(client, home)),
        *(("logs", path) for path in home.logs.glob("*.log") if path.stat().st_mtime < before),
    ]
    return [Waste(kind, path, _bytes_in(path)) for kind, path in found]


def _refuse_living(home: Home) -> None:
    for folder in home.running.glob("*"):
        if holds_lock(Owner(folder.name, str(folder / "lock"))):
            raise UserError(f"{home.folder}: a run is under way there; clean when it has ended, or stop it first")


def _data_of_versions(client: mlflow.MlflowClient) -> list[Path]:
    """The data sets of registered versions, on which `ferpipe gate` judges them again."""
    addresses = (
        version.tags.get(DATA_URI, "") for model in our_models(client) for version in versions(client, model=model)
    )
    return [Path(address).resolve() for address in addresses if address and "://" not in address]


def _half_made_stores(tracking_uri: str) -> Iterator[Path]:
    store = sqlite_path(tracking_uri)
    for folder in store.parent.glob(".mlflow-*") if store else ():
        if folder.is_dir() and folder.stat().st_mtime < time.time() - STORE_SECONDS:
            yield folder


def _runs_files(home: Home, before: float, kept: list[Path]) -> Iterator[Path]:
    """What kfp keeps of each run, but for runs whose data set a version or a cache entry needs."""
    for folder in sorted(home.artifacts.glob("*")):
        if folder.stat().st_mtime < before and not any(path.is_relative_to(folder.resolve()) for path in kept):
            yield folder


def _finished_states(client: mlflow.MlflowClient, home: Home) -> Iterator[Path]:
    """Training states of candidates that are done; those of runs that this MLflow does not know may be another's."""
    for folder in sorted(home.state.glob("*/*")):
        try:
            run = client.get_run(folder.name)
        except mlflow.MlflowException as error:
            if classify(error) is not StoreError.MISSING:
                raise
            continue
        if state_of(run) in DONE:
            yield folder


def _bytes_in(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_symlink() or file.is_file())


def as_json(found: list[Waste]) -> str:
    """For programs."""
    return json.dumps([{"kind": one.kind, "path": str(one.path), "bytes": one.bytes} for one in found], indent=2)
