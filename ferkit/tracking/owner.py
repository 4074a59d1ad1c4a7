"""Who runs a pipeline run. It has one owner at a time: a command on some machine, or a run of a Kubeflow backend.

Whoever opens a run is its first owner, by a tag that the run is made with: a parameter would differ between any two
runs that are compared. Taking a run over is the write-once parameter `owner/<n>` of it: of any number of processes that
claim n, on SQLite or through a server, the first one's value stays. The last n owns the run. An owner on a machine
holds a lock file and beats: it makes a number in a tag grow, and reads the parameters back each time, so that it
notices when it has lost the run (a laptop that slept). On Kubeflow nothing beats: whether a pipeline run has ended is
the backend's to say.

No process id, no host name and no wall clock decides anything: they lie after a restart, in containers, and when a
clock is set.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

import mlflow
from filelock import FileLock, Timeout
from mlflow.entities import Run

from ferkit.errors import UserError
from ferkit.tracking import names
from ferkit.tracking.write_once import write_once

PREFIX: Final = "owner/"

SCRATCH: Final = "tmp"
"""In an owner's folder: the temporary files of its run."""

BEAT_SECONDS: Final = 10.0
"""Between two beats. A watcher takes an owner for stopped when it missed three."""


@dataclass(frozen=True)
class Owner:
    """Who runs a pipeline run.

    Attributes:
        id: unique: drawn by a command, or Kubeflow's id of the pipeline run.
        lock: the file whose lock the command holds while it lives; empty on Kubeflow.
    """

    id: str
    lock: str = ""

    @classmethod
    def parse(cls, text: str, pipeline_run_id: str) -> Self:
        """The owner as a step is told it: what `to_json` gave, or empty for the Kubeflow run `pipeline_run_id`."""
        return cls(**json.loads(text)) if text else cls(pipeline_run_id)

    def to_json(self) -> str:
        """As text, for a parameter."""
        return json.dumps(asdict(self))

    @property
    def scratch(self) -> Path:
        """Where the run's temporary files go; only of a local owner."""
        return Path(self.lock).with_name(SCRATCH)

    @property
    def is_local(self) -> bool:
        """Whether it is a command on some machine, rather than a run of a Kubeflow backend."""
        return bool(self.lock)


@contextlib.contextmanager
def local_owner(folder: Path) -> Iterator[Owner]:
    """An owner of this process, whose own folder under `folder` holds its lock and is removed after the block.

    What killed owners left there goes, but for their locks, which say of the runs they had that nobody runs them.
    """
    owner_id = uuid.uuid4().hex
    own = folder.absolute() / owner_id
    (own / SCRATCH).mkdir(parents=True)
    owner = Owner(owner_id, str(own / "lock"))
    with FileLock(owner.lock):
        for other in folder.absolute().iterdir():
            if holds_lock(Owner(other.name, str(other / "lock"))) is False:
                shutil.rmtree(other / SCRATCH, ignore_errors=True)
        try:
            yield owner
        finally:
            forget(owner)


def forget(owner: Owner) -> None:
    """Removes the folder of an owner of this machine, when no run is left that it owns."""
    shutil.rmtree(Path(owner.lock).parent, ignore_errors=True)


def holds_lock(owner: Owner) -> bool | None:
    """Whether a command of this machine holds the owner's lock; None where this machine cannot tell.

    The owner's id, drawn at random, is in the path: another machine has no such file, unless it shares the folder.
    """
    if not owner.is_local or not Path(owner.lock).exists():
        return None
    try:
        with FileLock(owner.lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return None


def owners(run: Run) -> list[Owner]:
    """All owners that a parent run ever had, the present one last."""
    claims = {int(name.removeprefix(PREFIX)): value for name, value in run.data.params.items() if is_claim(name)}
    opened_by = [run.data.tags[names.FIRST_OWNER]] if names.FIRST_OWNER in run.data.tags else []
    return [Owner(**json.loads(text)) for text in (*opened_by, *(claims[number] for number in sorted(claims)))]


def is_claim(name: str) -> bool:
    return name.startswith(PREFIX) and name.removeprefix(PREFIX).isdecimal()


def owner_of(run: Run) -> Owner | None:
    """The present owner of a parent run; None for a run that never had one."""
    return next(reversed(owners(run)), None)


def claim(client: mlflow.MlflowClient, run: Run, owner: Owner) -> None:
    """Makes `owner` the owner of a parent run; nothing where it is already.

    Args:
        client: of the MLflow that holds the run.
        run: the parent, as it was when it was found to be free: whoever has claimed it since then keeps it.
        owner: the new owner.

    Raises:
        UserError: another owner claimed the run in the meantime.
    """
    before, run_id = owners(run), run.info.run_id
    if before and before[-1].id == owner.id:
        return
    name = f"{PREFIX}{len(before) + 1}"
    won = write_once(client, run_id, name, owner.to_json())
    if Owner(**json.loads(won)).id != owner.id:
        raise UserError(f"run {run_id} ({run.info.run_name}): another command took it over at this moment")
    client.set_tag(run_id, names.OWNER, owner.id)


def has_stopped(
    client: mlflow.MlflowClient, run: Run, sleep: Callable[[float], None] = time.sleep, interval: float = BEAT_SECONDS
) -> bool:
    """Whether the command that owns a parent run is gone. Takes three intervals where only its beat can tell.

    Args:
        client: of the MLflow that holds the run.
        run: a parent whose owner is local.
        sleep: waits some seconds of the caller's own clock; no two clocks are compared.
        interval: seconds between the owner's beats.
    """
    owner = owner_of(run)
    if owner is None:
        return True
    held = holds_lock(owner)
    if held is not None:
        return not held
    beat = run.data.tags.get(names.BEAT)
    for _ in range(3):
        sleep(interval)
        now = client.get_run(run.info.run_id)
        if now.data.tags.get(names.BEAT) != beat or (other := owner_of(now)) is None or other.id != owner.id:
            return False
    return True


class Heart:
    """Beats for an owner in a thread of its own, until closed or until another owner has taken the run over."""

    def __init__(
        self,
        client: mlflow.MlflowClient,
        run_id: str,
        owner: Owner,
        on_lost: Callable[[], None],
        interval: float = BEAT_SECONDS,
    ) -> None:
        """Starts to beat.

        Args:
            client: of the MLflow that holds the run.
            run_id: the parent run.
            owner: that owns it.
            on_lost: called once, in the thread, when another owner has taken the run over.
            interval: seconds between two beats.
        """
        self._client, self._run_id, self._owner = client, run_id, owner
        self._on_lost, self._interval = on_lost, interval
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="owner's beat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        count = 0
        while True:
            # An MLflow that does not answer for a while is the steps' to complain about.
            with contextlib.suppress(mlflow.MlflowException):
                present = owner_of(self._client.get_run(self._run_id))
                if present is not None and present.id != self._owner.id:
                    self._on_lost()
                    return
                count += 1
                self._client.set_tag(self._run_id, names.BEAT, f"{self._owner.id} {count}")
            if self._closing.wait(self._interval):
                return

    def close(self) -> None:
        """Stops; waits for a beat that is under way, but not for an MLflow that does not answer."""
        self._closing.set()
        self._thread.join(timeout=min(self._interval, 2.0))
