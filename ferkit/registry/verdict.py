"""What the gate said, with every number behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from ferkit.metrics.paired import Difference
from ferkit.registry.settings import Register
from ferkit.tracking import names

APPROVED: Final = "approved"
REJECTED: Final = "rejected"
NOT_GATED: Final = "not_gated"

TEST_UNREAD: Final = "nothing is registered: the test split was left unread (evaluate.test=false)"
"""What stands in a verdict's place for a pipeline run that was not to read test."""

NO_CHAMPION: Final = "none"
"""What a verdict was `compared_with` when there was no champion."""


@dataclass(frozen=True)
class Scored:
    """A version's metrics on the rows of the verdict.

    Attributes:
        version: number in the registry.
        run_id: MLflow run of the candidate.
        name: that run's name.
        recall: per emotion; None for a class without a test row.
    """

    version: str
    run_id: str
    name: str
    accuracy: float
    macro_f1: float
    recall: Mapping[str, float | None]


@dataclass(frozen=True)
class Contender:
    """A candidate of the pipeline run that a verdict is about.

    Attributes:
        run_id: its run.
        name: that run's name.
        version: that it became; None for one that was not registered.
        validation_status: that version's; None for none.
        val_macro_f1: macro-F1 on validation; None for one that was not scored.
    """

    run_id: str
    name: str
    version: str | None
    validation_status: str | None
    val_macro_f1: float | None


@dataclass(frozen=True)
class Verdict:
    """What the gate said about one version.

    Attributes:
        status: `approved` or `rejected`.
        reasons: why it was rejected, or on what grounds approved; a sentence each.
        notes: what a person should know before relying on it; a sentence each.
        challenger: the version it is about.
        champion: the version it was compared with; None when there was none, or it could not be scored.
        compared_with: the champion's version, or `none`.
        macro_f1: difference with its interval; None without a champion's scores.
        accuracy: the same.
        recall: the same per class, at a level at which the seven hold together.
        unseen: difference in macro-F1 on the rows neither model was trained on, where some were.
        rows: test rows scored.
        test_digest: their content digest.
        data_digest: of all splits of that data set.
        policy: the parameters it was decided by.
        candidates: every candidate of the pipeline run, best on validation first.
        at: UTC, ISO 8601.
        model: the registered model that the versions are of.
    """

    status: Literal["approved", "rejected"]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    challenger: Scored
    champion: Scored | None
    compared_with: str
    macro_f1: Difference | None
    accuracy: Difference | None
    recall: Mapping[str, Difference]
    unseen: Difference | None
    rows: int
    test_digest: str
    data_digest: str
    policy: Register
    at: str
    candidates: tuple[Contender, ...] = ()
    model: str = names.REGISTERED_MODEL

    @property
    def approved(self) -> bool:
        return self.status == APPROVED

    @property
    def why(self) -> str:
        """Its reasons, in one line."""
        return "; ".join(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; floats in full."""
        return asdict(self) | {"policy": self.policy.model_dump()}

    def __str__(self) -> str:
        return f"version {self.challenger.version} ({self.challenger.name}) {self.status}: {self.why}"
