"""The groups of seeds of a pipeline run, as a part of its report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ferkit.metrics.evaluation import CandidateRun
from ferkit.report.page import table
from ferkit.tracking import names
from ferkit.tracking.ranking import spread_of

COLUMNS = (
    ("macro-F1, validation", "validation", "macro_f1"),
    ("macro-F1, test", "test", "macro_f1"),
    ("accuracy, test", "test", "accuracy"),
    ("worst recall, test", "test", "worst_recall"),
)


def sections(candidates: Sequence[CandidateRun]) -> list[str]:
    """Mean and standard deviation over the seeds of each group; nothing where no candidate has several.

    Args:
        candidates: of the run, the one that stands for a group before its other members.
    """
    groups: dict[str, list[CandidateRun]] = {}
    for candidate in candidates:
        if name := candidate.tags.get(names.GROUP):
            groups.setdefault(name, []).append(candidate)
    if not groups:
        return []
    rows = []
    for name, members in groups.items():
        scored = [member.evaluation for member in members if member.evaluation]
        cells = []
        for _, split, figure in COLUMNS:
            spread = spread_of(found.splits[split].figures[figure] for found in scored if split in found.splits)
            cells.append("" if spread is None else str(spread))
        stands = members[0].name if scored else ""
        rows.append([escape(name), f"{len(scored)} of {len(members)}", *cells, escape(stands)])
    text = (
        "Each group is one candidate, trained once per seed: mean ± standard deviation (n - 1) over the members that "
        "were scored. The luck of a seed is no merit, so groups are ranked by their mean on validation, and the member "
        "nearest to it stands for the group before the gate."
    )
    head = ("", "n", *(heading for heading, _, _ in COLUMNS), "stands for it")
    return ["<h3>Over seeds</h3>", table(head, rows), f'<p class="quiet">{text}</p>']
