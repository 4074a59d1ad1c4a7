"""One space of a search, from what a person wrote: dimensions whose every value was tried in a candidate.

Every parameter's own definition decides what a range holds: whole numbers or real ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from ferkit.errors import UserError, nearest
from ferkit.networks.architectures import find
from ferkit.search.dimensions import Choice, Dimension, Range
from ferkit.training.candidate import parse_candidate
from ferkit.training.settings import Train
from ferkit.user_input import shorten, shown


def parse_space(values: Mapping[str, Any], train: Mapping[str, Any], method: str) -> dict[str, Dimension]:
    """One space. Each value is checked in a candidate, and refused if it fits in none.

    The candidate's other values are the first ones; where those do not go together, or not with it (`residual` takes a
    `depth` of 2 or more), one of them is changed for another. So nothing hangs on the order of values.
    """
    if "seeds" in values:
        raise UserError("seeds: a search trains each trial once; train its best one, search/best.yaml, with seeds")
    if "architecture" not in values:
        raise UserError("architecture: a space needs it; use one or a list, such as lenet")
    if isinstance(values["architecture"], Mapping):
        raise UserError("architecture: takes no range, for it is no number; use a list of values")
    architectures = _choice("architecture", values["architecture"]).values
    space: dict[str, Dimension] = {}
    # In one order, whatever the config's: kfp hands a dict on in any, and draws go by the order of the dimensions.
    for name, value in sorted(values.items(), key=lambda one: (one[0] != "architecture", one[0])):
        if name != "architecture":
            for architecture in architectures:
                _refuse_unknown(name, str(architecture), len(architectures) > 1)
        if isinstance(value, Mapping):
            space[name] = _range(name, value, _kind(name, [str(one) for one in architectures]), method)
        else:
            space[name] = _choice(name, value)
    first = {name: dimension.ends[0] for name, dimension in space.items()}
    usual = next((one for one in [first, *_one_changed(first, space)] if _fits(one, train)), first)
    for name, dimension in space.items():
        for value in dimension.ends:
            for architecture in architectures if name != "architecture" else [value]:
                candidate = {**usual, "architecture": architecture, name: value}
                try:
                    parse_candidate(candidate, train)
                except UserError as error:
                    if not any(_fits(one, train) for one in _one_changed(candidate, space, name)):
                        raise UserError(str(error).removeprefix("train.").removeprefix(f"{architecture}.")) from None
    return space


def _one_changed(
    candidate: Mapping[str, Any], space: Mapping[str, Dimension], but: str = ""
) -> Iterator[dict[str, Any]]:
    """A candidate with one of its values changed for another one of its space: any but its architecture and `but`."""
    for name, dimension in space.items():
        if name not in ("architecture", but):
            yield from ({**candidate, name: value} for value in dimension.ends)


def _fits(candidate: Mapping[str, Any], train: Mapping[str, Any]) -> bool:
    """Whether a candidate's values go together."""
    try:
        parse_candidate(candidate, train)
    except UserError:
        return False
    return True


def _refuse_unknown(name: str, architecture: str, several: bool) -> None:
    known = [*find(architecture).NetworkSettings.model_fields, *Train.model_fields]
    if name not in known:
        cure = "; write a space for each architecture, as a list, where they differ" if several else ""
        raise UserError(
            f"{shown(name)[:80]}: neither {architecture} nor train has such a parameter; {nearest(name, known)}{cure}"
        )


def _choice(name: str, value: Any) -> Choice:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UserError(f"{name}: the list is empty; use values to try, or leave it out")
    if any(one is None for one in values):
        raise UserError(f"{name}: holds an empty value; write each value to try, or leave {name} out")
    for number, one in enumerate(values):
        if one in values[:number]:
            raise UserError(f"{name}: {shorten(one)} is listed twice; take one out")
    return Choice(tuple(values))


def _range(name: str, bounds: Mapping[str, Any], kind: type | None, method: str) -> Range:
    if kind is None:
        raise UserError(f"{name}: takes no range, for it is no number; use a list of values")
    for key in bounds:
        if key not in ("low", "high", "log", "step"):
            raise UserError(f"{name}.{shown(key)[:80]}: a range has no such key; write {{low, high, log, step}}")
    for key in ("low", "high", "step"):
        value = bounds.get(key)
        if (value is None and key != "step") or (value is not None and not _is_number(value)):
            raise UserError(f"{name}.{key}: has to be a number (received {shorten(value)}); write {{low: 1, high: 9}}")
        if value is not None and kind is int and not float(value).is_integer():
            raise UserError(f"{name}.{key}: {name} takes whole numbers (received {shorten(value)})")
    low, high, log, step = bounds["low"], bounds["high"], bounds.get("log", False), bounds.get("step")
    if not isinstance(log, bool):
        raise UserError(f"{name}.log: has to be true or false (received {shorten(log)})")
    if low >= high:
        raise UserError(f"{name}: low has to be smaller than high (received low {low}, high {high})")
    if log and low <= 0:
        raise UserError(f"{name}.low: has to be over 0 where log is true (received {low})")
    if step is not None and step <= 0:
        raise UserError(f"{name}.step: has to be over 0 (received {step})")
    if step is not None and log:
        raise UserError(f"{name}: takes a step or log, not both; write the values as a list")
    if method == "grid" and step is None:
        raise UserError(f"{name}: a grid needs a step, or a list of values; or take method random or tpe")
    found = Range(low, high, log, step, kind is int)
    return Range(low, found.values[-1], log, step, kind is int) if step is not None else found


def _is_number(value: Any) -> bool:
    """Whether it is one, and finite: YAML has `.inf` and `.nan`."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and math.isfinite(value)
    )


def _kind(name: str, architectures: Sequence[str]) -> type | None:
    """int or float, as the parameter is; None for one that is no number."""
    fields = {**find(architectures[0]).NetworkSettings.model_fields, **Train.model_fields}
    if name not in fields:  # the architecture itself
        return None
    annotation = fields[name].annotation
    kinds = {annotation} if get_origin(annotation) is tuple else {annotation, *get_args(annotation)}
    return float if float in kinds else int if int in kinds else None
