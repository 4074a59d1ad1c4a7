"""The groups of seeds of a pipeline run, as a part of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ferkit.metrics.evaluation import CandidateRun
from ferkit.tracking import names
from ferkit.tracking.ranking import Spread, spread_of

METRICS: Final = (
    ("validation", "macro_f1"),
    ("test", "macro_f1"),
    ("test", "accuracy"),
    ("test", "worst_recall"),
)


@dataclass(frozen=True)
class SeedGroup:
    """One candidate, trained once per seed.

    Attributes:
        name: what its members have in common.
        members: how many there are.
        scored: how many of them were evaluated.
        spreads: mean and standard deviation over those of each of `METRICS`; None where none has it.
        stands_for_it: the member that stands for the group before the gate; empty where none was evaluated.
    """

    name: str
    members: int
    scored: int
    spreads: Sequence[Spread | None]
    stands_for_it: str


def seed_groups(candidates: Sequence[CandidateRun]) -> list[SeedGroup]:
    """The groups among the candidates of a run; none where no candidate has several seeds.

    Args:
        candidates: of the run, the one that stands for a group before its other members.
    """
    groups: dict[str, list[CandidateRun]] = {}
    for candidate in candidates:
        if name := candidate.tags.get(names.GROUP):
            groups.setdefault(name, []).append(candidate)
    found = []
    for name, members in groups.items():
        splits = [member.evaluation.splits for member in members if member.evaluation]
        spreads = [spread_of(of[split].metrics[name] for of in splits if split in of) for split, name in METRICS]
        found.append(SeedGroup(name, len(members), len(splits), spreads, members[0].name if splits else ""))
    return found
