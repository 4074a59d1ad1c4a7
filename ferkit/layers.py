"""Layered configuration: settings from several sources, merged by one rule.

Layers are ordered, lowest first. A later layer's value replaces an earlier one's; None sets nothing. Where a value is
a section (a mapping under a name in `sections`), its keys are merged one by one; any other value, a list or a mapping
like `balance.mix`, is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ferkit.errors import UserError
from ferkit.user_input import shorten


@dataclass(frozen=True)
class Layer:
    """What one source says.

    Attributes:
        source: where from, for people: `configs/quick.yaml`, `--set train.epochs=3`, `recipe tuned`.
        values: nested as in a config file.
    """

    source: str
    values: Mapping[str, Any]


def merge(layers: Sequence[Layer], sections: Collection[str] = ()) -> dict[str, Any]:
    """All layers as one, see the module.

    Raises:
        UserError: a section is not a mapping.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.values.items():
            if value is None:
                merged.setdefault(key, None)
            elif key in sections:
                merged[key] = {**(merged.get(key) or {}), **_section(key, value)}
            else:
                merged[key] = value
    return merged


def source_of(layers: Sequence[Layer], dotted: str, sections: Collection[str] = ()) -> str:
    """The source whose value of `train.epochs` holds; empty where no layer sets one."""
    section, dot, inner = dotted.partition(".")
    for layer in reversed(layers):
        values = layer.values
        if dot and section in sections:
            values = values.get(section) or {}
            if isinstance(values, Mapping) and values.get(inner) is not None:
                return layer.source
        elif values.get(dotted) is not None:
            return layer.source
    return ""


def _section(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{key}: a section takes `name: value` lines (received {shorten(value)})")
    return value
