"""In which parameters candidates differ, beyond what their names say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from mlflow.entities import Run

from ferkit.tracking.names import WITHOUT_EFFECT

IN_NAME: Final = frozenset({"architecture", "recipe", "seed"})
"""Parameters of a candidate that its name always has: `lenet-tuned-s0`."""


def differing_parameters(runs: Iterable[Run]) -> dict[str, dict[str, str]]:
    """The parameters, by run id, on which candidates disagree.

    Parameters of data (`balance.strategy`) are held against all other candidates. Those of a candidate are held against
    others of its architecture and recipe alone: between two architectures nearly all of them differ. A candidate that
    lacks a parameter says nothing about it, so that one of an earlier version, which had other names, does not differ
    from all others in everything. What changes no result is left out.
    """
    runs = list(runs)
    values: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for run in runs:
        for name, value in run.data.params.items():
            values[_among(run, name)].add(value)
    return {
        run.info.run_id: {
            name: value
            for name, value in sorted(run.data.params.items())
            if name not in IN_NAME | WITHOUT_EFFECT and len(values[_among(run, name)]) > 1
        }
        for run in runs
    }


def _among(run: Run, name: str) -> tuple[str, ...]:
    """A parameter, with what a candidate must share for its value to be held against this one's."""
    if "." in name:
        return (name,)
    return (name, run.data.params.get("architecture", ""), run.data.params.get("recipe", ""))
