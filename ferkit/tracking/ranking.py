"""Which candidate is the best, by validation alone; those that differ in their seed alone are judged as one group.

The best of several seeds flatters its candidate: another training would not reach it. So a group is ranked by its mean,
and the member nearest that stands for it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.tracking import names
from ferkit.tracking.candidates import has_failed


def validation_score(run: Run) -> float | None:
    """Macro-F1 on validation, by which candidates are chosen; None for a run that was not scored.

    Of an ensemble with fitted weights it is the cross-fitted one. A training that diverged has metrics of the epochs
    before, and has failed.
    """
    if has_failed(run):
        return None
    metrics = run.data.metrics
    score = names.validation_metric(metrics, "macro_f1")
    if score is None or not math.isfinite(score):
        return None
    return metrics.get(names.CROSS_FITTED, score)


def rank(run: Run) -> tuple[float, float]:
    """A key to sort single candidates by, the best the greatest: macro-F1 on validation, then accuracy there."""
    score = validation_score(run)
    return (-math.inf if score is None else score, names.validation_metric(run.data.metrics, "accuracy") or 0.0)


@dataclass(frozen=True)
class Spread:
    """A metric over the members of a group.

    Attributes:
        n: members that have the metric.
        mean: over them.
        deviation: standard deviation of the sample (n - 1); None for a single one.
    """

    n: int
    mean: float
    deviation: float | None

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + ("" if self.deviation is None else f" ± {self.deviation:.3f}")


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """Mean and deviation of the values that there are; None for none.

    >>> str(spread_of([0.5, 0.6, None]))
    '0.550 ± 0.071'
    """
    there = [value for value in values if value is not None]
    if not there:
        return None
    return Spread(len(there), statistics.fmean(there), statistics.stdev(there) if len(there) > 1 else None)


@dataclass(frozen=True)
class Group:
    """Candidates of one pipeline run that differ in their seed alone; or a candidate by itself.

    Attributes:
        name: what they have in common; of a candidate by itself its own.
        runs: of its members, the one that stands for the group first: its score is the nearest to the mean. Of two
            equally near it is the lower one. Those without a score come last.
    """

    name: str
    runs: Sequence[Run]

    def spread(self, metric: Callable[[Run], float | None]) -> Spread | None:
        """Mean and deviation of a metric; None where no member has it."""
        return spread_of(map(metric, self.runs))

    @property
    def is_of_seeds(self) -> bool:
        """Whether it is one of `seeds`, rather than a candidate by itself."""
        return names.GROUP in self.runs[0].data.tags


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Candidates in their groups, the best on validation first.

    Args:
        runs: of candidates; each once.
    """
    members: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        tags, run_id = run.data.tags, run.info.run_id
        group = tags.get(names.GROUP)
        key = (tags.get(MLFLOW_PARENT_RUN_ID, ""), group) if group else (run_id, str(run.info.run_name))
        members.setdefault(key, []).append(run)
    groups = [Group(name, _nearest_first(of)) for (_, name), of in members.items()]
    return sorted(groups, key=_rank_group, reverse=True)


def order(runs: Iterable[Run]) -> list[Run]:
    """Candidates, the best group on validation first, and of each group the one that stands for it."""
    return [run for group in group_runs(runs) for run in group.runs]


def _nearest_first(runs: Sequence[Run]) -> list[Run]:
    scored = [(score, run) for run in runs if (score := validation_score(run)) is not None]
    unscored = [run for run in runs if validation_score(run) is None]
    if not scored:
        return unscored
    mean = statistics.fmean(score for score, _ in scored)
    # To 12 digits: the ends of two are equally far, whatever rounding makes of it.
    scored.sort(key=lambda pair: (round(abs(pair[0] - mean), 12), pair[0]))
    return [*(run for _, run in scored), *unscored]


def _rank_group(group: Group) -> tuple[float, float]:
    score = group.spread(validation_score)
    accuracy = group.spread(lambda run: names.validation_metric(run.data.metrics, "accuracy"))
    return (score.mean if score else -math.inf, accuracy.mean if accuracy else 0.0)
