"""The candidates of a pipeline run: checked, resolved, named and told apart, before anything is made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ferkit.errors import UserError
from ferkit.settings import whole_numbers
from ferkit.tracking import names
from ferkit.tracking.candidates import NewCandidate, identify
from ferkit.training.candidate import parse_candidate
from ferkit.training.seeds import SEEDS, expand_seeds


def resolve_candidates(
    candidates: Sequence[Mapping[str, Any]],
    train: Mapping[str, Any],
    identity: Sequence[Any],
    tags: Mapping[str, str] | None = None,
) -> list[NewCandidate]:
    """The candidates with every setting filled in; one for each of a candidate's `seeds`, which are in one group.

    Args:
        candidates: as a person wrote them.
        train: the section `train`, which holds for all.
        identity: whatever else makes two trainings different: versions of data and code.
        tags: of every candidate's run.

    Raises:
        UserError: no candidates, two equal ones, or one that does not parse.
    """
    if not candidates:
        raise UserError("candidates: the list is empty; use at least one, such as {architecture: lenet}")
    found: dict[str, NewCandidate] = {}
    marks = _marks(candidates)
    places: dict[str, int] = {}
    for number, written in enumerate(candidates):
        for seeded in expand_seeds(written):
            candidate = parse_candidate(seeded, train)
            settings = candidate.dump()
            candidate_id = identify(settings, *identity)
            if candidate_id in found:
                first = places[candidate_id]
                raise UserError(f"candidates[{number}] is equal to [{first}]; drop one, or set different seeds")
            name = names.cut_name(" ".join([candidate.name, *marks[number]]))
            group = {names.GROUP: " ".join([candidate.group, *marks[number]])} if SEEDS in written else {}
            own = {**(tags or {}), **group}
            found[candidate_id] = NewCandidate(candidate_id, name, candidate.architecture, settings, own)
            places[candidate_id] = number
    return list(found.values())


def _marks(candidates: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What each candidate says that not all candidates of its architecture say, as `key=value`.

    >>> half = {"architecture": "lenet", "width": 0.5}
    >>> still = {**half, "random_affine": False}
    >>> _marks([half, still, {**half, "seed": 1}, {"architecture": "multi_kernel", "epochs": 9}])
    [[], ['random_affine=false'], [], []]
    """
    in_name = ("architecture", "recipe", "seed", SEEDS)
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for written in candidates:  # as text: what no architecture is (a list) gets its sentence from its candidate
        alike.setdefault(str(written.get("architecture")), []).append(written)
    marks: list[list[str]] = []
    for written in candidates:
        others = alike[str(written.get("architecture"))]
        own = {key: value for key, value in written.items() if key not in in_name and value is not None}
        said = {key: value for key, value in own.items() if any(other.get(key) != value for other in others)}
        marks.append([f"{key}={_as_written(value)}" for key, value in said.items()])
    return marks


def _as_written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(whole_numbers(value))
