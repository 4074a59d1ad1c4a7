"""The state of a training that may be killed: saved whole or not at all, in a folder or under an `s3://` prefix."""

from __future__ import annotations

import io
import json
import os
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from ferkit.addresses import split_bucket
from ferkit.disk import writing_to
from ferkit.errors import OutOfReach, UserError
from ferkit.store_errors import StoreError, classify

WAITS: Final = (0.0, 2.0, 6.0, 14.0)
"""Seconds between requests to S3 where it does not answer: 22, then the step fails, and goes on at its next try."""

LONGEST: Final = 25.0
"""Seconds from the first request after which none is repeated: answers may take long to fail, too."""


@dataclass
class State:
    """Where a training has got to.

    Attributes:
        arrays: every variable that the next step depends on (weights, optimizer with its averages, seed generators),
            and the weights of the best epoch; under names, bit for bit.
        history: the metrics of every epoch so far.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def as_bytes(self) -> bytes:
        """As an .npz archive, the rest as JSON in its `about`."""
        about = {"history": self.history}
        file = io.BytesIO()
        np.savez(file, **{"about": np.frombuffer(json.dumps(about).encode(), np.uint8), **self.arrays})  # pyright: ignore[reportArgumentType]
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """What `as_bytes` returned."""
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays.pop("about").tobytes())
        return cls(arrays, about["history"])


class FolderStore:
    """Keeps the state in a file. A save is a rename: a reader, or a kill, sees the old one or the new one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.npz"

    def load(self) -> State | None:
        """The last state saved, or None. What a save that was killed left behind is removed."""
        for abandoned in self.path.parent.glob(".state-*"):
            abandoned.unlink(missing_ok=True)
        return State.from_bytes(self.path.read_bytes()) if self.path.exists() else None

    def save(self, state: State) -> None:
        """Replaces the last one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".state-{uuid.uuid4().hex}")
        try:
            with writing_to(self.path, "a state_dir that can be written"), part.open("xb") as file:
                file.write(state.as_bytes())
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def __str__(self) -> str:
        return str(self.path)


class S3Store:
    """Keeps the state in one object: S3 shows an upload when it is complete."""

    def __init__(self, address: str) -> None:
        """Raises UserError where boto3's settings (AWS_PROFILE, AWS_ENDPOINT_URL) make no client."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        self.bucket, prefix = split_bucket(address)
        self.key = f"{prefix.rstrip('/')}/state.npz".lstrip("/")
        settings = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=15)
        try:
            self.client: Any = boto3.Session().client("s3", config=settings)
        except (BotoCoreError, ValueError) as error:
            raise UserError(f"{self}: {error}; check AWS_PROFILE and AWS_ENDPOINT_URL") from None

    def load(self) -> State | None:
        """The last state saved, or None.

        Raises:
            OutOfReach: the bucket is missing, access to it is refused, or S3 does not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        cure = "set a state_dir that can be read"
        try:
            return State.from_bytes(self._ask(self._read))
        except ClientError as error:
            code, why = error.response["Error"]["Code"], error
            if code == "NoSuchKey":
                return None
            if code == "AccessDenied":
                cure += ", or allow s3:ListBucket (without it S3 says this of an object that is not there yet)"
        except BotoCoreError as error:
            why = error
        raise OutOfReach(f"{self}: {why}; {cure}")

    def save(self, state: State) -> None:
        """Replaces the last one.

        Raises:
            OutOfReach: S3 does not take it; the step fails, and its next try goes on from the last state.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        data = state.as_bytes()
        try:
            self._ask(lambda: self.client.put_object(Bucket=self.bucket, Key=self.key, Body=data))
        except (BotoCoreError, ClientError) as error:
            raise OutOfReach(f"{self}: {error}; set a state_dir that can be written") from None

    def _read(self) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=self.key)["Body"].read()

    def _ask(self, ask: Callable[[], Any]) -> Any:
        """The answer of S3; the request is repeated for a while where it does not, or says that it cannot now."""
        from botocore.exceptions import BotoCoreError, ClientError

        end = time.monotonic() + LONGEST
        for wait in WAITS:
            try:
                return ask()
            except (BotoCoreError, ClientError) as error:
                if classify(error) is not StoreError.OUT_OF_REACH or time.monotonic() + wait > end:
                    raise
            time.sleep(wait)
        return ask()

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


Store = FolderStore | S3Store


def open_state(store: Store | None) -> State:
    """The state to go on from; a fresh one is saved at once, so that a place that takes none is known before training.

    Raises:
        OutOfReach: the state cannot be read, or not be written.
    """
    if store is None:
        return State()
    try:
        found = store.load()
    except OSError as error:
        raise OutOfReach(f"training's state: {error}; set a state_dir that can be read") from None
    except (zipfile.BadZipFile, EOFError, ValueError, KeyError, TypeError) as error:
        raise OutOfReach(f"{store}: no whole training state ({error}); remove it to train from the start") from None
    if found is None:
        found = State()
        try:
            store.save(found)
        except OSError as error:
            raise OutOfReach(f"training's state: {error}; set a state_dir that can be written") from None
    return found


def store_for(state_dir: str, parent_run_id: str, run_id: str) -> Store | None:
    """Where a candidate of a pipeline run keeps its state; None for an empty `state_dir`."""
    return store_at(f"{state_dir.rstrip('/') or '/'}/{parent_run_id}/{run_id}") if state_dir else None


def store_at(address: str) -> Store:
    """The store in a folder, or under an `s3://` prefix."""
    return S3Store(address) if address.startswith("s3://") else FolderStore(Path(address))
