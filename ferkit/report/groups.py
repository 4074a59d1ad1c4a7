"""The groups of seeds of a pipeline run, as a part of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ferkit.metrics.evaluation import CandidateRun
from ferkit.tracking import names
from ferkit.tracking.ranking import Spread, spread_of

GATED: Final = {
    "macro-F1, validation": ("validation", "macro_f1"),
    "macro-F1, test": ("test", "macro_f1"),
    "accuracy, test": ("test", "accuracy"),
    "worst recall, test": ("test", "worst_recall"),
}
"""Columns of a run with a verdict: heading to split and metric."""

VALIDATION: Final = {
    "macro-F1, validation": ("validation", "macro_f1"),
    "accuracy, validation": ("validation", "accuracy"),
    "worst recall, validation": ("validation", "worst_recall"),
}
"""Columns of a run that left test unread."""


@dataclass(frozen=True)
class SeedGroup:
    """One candidate, trained once per seed.

    Attributes:
        name: what its members have in common.
        members: how many there are.
        scored: how many of them were evaluated.
        spreads: heading to mean and standard deviation over those; None where none has the metric.
        stands_for_it: the member that stands for the group before the gate; empty where none was evaluated.
    """

    name: str
    members: int
    scored: int
    spreads: Mapping[str, Spread | None]
    stands_for_it: str


def seed_groups(candidates: Sequence[CandidateRun], columns: Mapping[str, tuple[str, str]]) -> list[SeedGroup]:
    """The groups among the candidates of a run; none where no candidate has several seeds.

    Args:
        candidates: of the run, the one that stands for a group before its other members.
        columns: `GATED` or `VALIDATION`.
    """
    groups: dict[str, list[CandidateRun]] = {}
    for candidate in candidates:
        if name := candidate.tags.get(names.GROUP):
            groups.setdefault(name, []).append(candidate)
    found = []
    for name, members in groups.items():
        splits = [member.evaluation.splits for member in members if member.evaluation]
        spreads = {
            heading: spread_of(of[split].metrics[metric] for of in splits if split in of)
            for heading, (split, metric) in columns.items()
        }
        found.append(SeedGroup(name, len(members), len(splits), spreads, members[0].name if splits else ""))
    return found
