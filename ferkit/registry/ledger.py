"""The record of promotions: who made which version champion, when, in whose place. Append-only, one winner a number.

MLflow's aliases have no compare-and-set: two processes that promote at once would both succeed, and the later one would
win without knowing what it replaced. A run's PARAMETERS, however, are write-once, by the primary key of the tracking
store's table. So promotion number n is the parameter `promotion/<n>` of one run, the ledger: of any number of
processes that claim n, on SQLite or through a server, the first one's value stays. The alias `champion` only follows
(see promotion.py).

The ledger run itself must be one, too, when the first two promotions race to make it. The names of EXPERIMENTS are
unique, and an experiment's tags are written in one transaction with it: the experiment `<registered model> promotions`
holds nothing but the tag that names the ledger run, and whoever makes it first has made the ledger.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

import mlflow

from ferkit.errors import UserError
from ferkit.tracking import names, tree
from ferkit.tracking.write_once import write_once

LEDGER: Final = "ledger.run_id"
"""Tag of the experiment that names the ledger run."""

PREFIX: Final = "promotion/"

LONGEST_REASON: Final = 2000
"""Characters; an entry has to fit into a parameter, 6,000."""


@dataclass(frozen=True)
class Entry:
    """One promotion or rollback.

    Attributes:
        number: 1, 2, 3 and so on, without gaps.
        action: `promote`, or `rollback`: then `version` is the one that came back.
        version: of the registered model; champion from this entry on.
        previous: the version that was champion before; empty for the first champion.
        by: who.
        at: when, UTC, ISO 8601.
        pipeline_run: MLflow parent run that `version` came from.
        reason: what the person said; always there when `forced`.
        forced: whether the gate's verdict was overruled.
        claim: sets this entry apart from an equal one that another process writes at the same moment.
    """

    number: int
    action: Literal["promote", "rollback"]
    version: str
    previous: str
    by: str
    at: str
    pipeline_run: str = ""
    reason: str = ""
    forced: bool = False
    claim: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if len(self.reason) > LONGEST_REASON:
            raise UserError(f"--reason: at most {LONGEST_REASON} characters (received {len(self.reason)})")

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


class Ledger:
    """The record of one registered model's promotions."""

    def __init__(self, client: mlflow.MlflowClient, model: str = names.REGISTERED_MODEL) -> None:
        self._client = client
        self._place = f"{model} promotions"
        self._run_id = ""

    def entries(self) -> list[Entry]:
        """All entries, oldest first; none when nothing was ever promoted."""
        run_id = self._run_id or self._find()
        if not run_id:
            return []
        run = self._client.get_run(run_id)
        found = [Entry(**json.loads(value)) for name, value in run.data.params.items() if name.startswith(PREFIX)]
        return sorted(found, key=lambda entry: entry.number)

    def claim(self, entry: Entry) -> Entry:
        """Writes the entry, unless another process has written one of that number first.

        Returns:
            The entry that the ledger holds under that number now: `entry` itself for the winner.

        Raises:
            UserError: somebody deleted the ledger run.
        """
        run_id = self._run_id or self._find() or self._make()
        name, value = f"{PREFIX}{entry.number}", json.dumps(entry.to_dict())
        try:
            won = write_once(self._client, run_id, name, value)
        except mlflow.MlflowException:
            self._refuse_deleted(run_id)
            raise
        if won != value:
            self._refuse_deleted(run_id)
        return Entry(**json.loads(won))

    def _refuse_deleted(self, run_id: str) -> None:
        if self._client.get_run(run_id).info.lifecycle_stage == "deleted":
            raise UserError(
                f"run {run_id}, the record of promotions, was deleted; bring it back with "
                f"`mlflow runs restore --run-id {run_id}`"
            ) from None

    def _find(self) -> str:
        place = self._client.get_experiment_by_name(self._place)
        self._run_id = place.tags.get(LEDGER, "") if place else ""
        return self._run_id

    def _make(self) -> str:
        """Makes the ledger run; where another process was faster, throws it away and takes theirs."""
        experiment_id = tree.experiment_id(self._client, names.EXPERIMENT)
        tags = {names.RUN_KIND: "ledger", "mlflow.note.content": "The record of promotions: `ferpipe history`."}
        run_id = self._client.create_run(experiment_id, tags=tags, run_name=self._place).info.run_id
        self._client.set_terminated(run_id)
        note = f"Its tag {LEDGER} names the run, in {names.EXPERIMENT}, that records promotions: `ferpipe history`."
        try:
            self._client.create_experiment(self._place, tags={LEDGER: run_id, "mlflow.note.content": note})
        except mlflow.MlflowException:
            if not self._find():
                raise
            if self._run_id != run_id:
                self._client.delete_run(run_id)
            return self._run_id
        self._run_id = run_id
        return run_id
