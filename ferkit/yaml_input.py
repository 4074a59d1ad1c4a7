"""YAML that people write, read as its core schema has it, without what surprises.

A key set twice is refused, a date stays text, `010` is ten, aliases unfold within a bound.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

from ferkit.errors import UserError
from ferkit.user_input import one_line, shorten

DEEPEST: Final = 32
"""Levels of a value that a person writes."""

MOST_VALUES: Final = 20_000
"""Values of a config file, those that aliases repeat counted each time: a bomb of 324 bytes has 43 million."""

LONGEST_NUMBER: Final = 400
"""Digits; a double has 309."""


def read_yaml(text: str, where: str) -> Any:
    """A YAML document as plain values: None, bool, int, float, str, lists of them, dicts of them with str keys.

    Args:
        text: the document; empty for None.
        where: the file, or the parameter, for sentences.

    Raises:
        UserError: it is not YAML, or holds what no parameter has: a key twice, a key that is no text, other types,
            numbers that are rounded on their way, levels or aliases without end.
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return _plain(loader.get_single_data(), where, [MOST_VALUES])
    except yaml.MarkedYAMLError as error:
        problem = " ".join(part for part in (error.context, error.problem) if part)
        at = (
            f" (line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1})"
            if error.problem_mark
            else ""
        )
        raise UserError(f"{where}: not YAML that can be read: {one_line(problem)}{at}") from None
    except (yaml.YAMLError, ValueError, KeyError, OverflowError, RecursionError) as error:  # KeyError: !!bool x
        raise UserError(f"{where}: not YAML that can be read ({one_line(str(error))})") from None
    finally:
        if loader:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """PyYAML's, with bounds; keys once; numbers as YAML 1.2 has them; dates as text."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > 2 * DEEPEST:
            raise _problem(f"lists and keys lie more than {DEEPEST} levels deep", self.peek_event())
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_VALUES:
            raise _problem(f"merged keys (<<) unfold to over {MOST_VALUES:,}", node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                what = shorten(key.value) if isinstance(key, yaml.ScalarNode) else "of several values"
                raise _problem(f"the key {what} is no text; put quotes around it if it is a name", key)
            if name in seen:
                raise _problem(f"the key {shorten(name)} is set twice; take one out", key)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node)).replace("_", "")
        if len(text) > LONGEST_NUMBER:
            raise _problem(f"a number of {len(text):,} digits is none that anything here takes", node)
        return int(text, 16 if text.lower().startswith("0x") else 10)


_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _TAGS
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)

# As YAML 1.2 has them: no dates, no sexagesimal numbers (1:30 is text), 010 is no octal, 1e-3 is a number.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("bool", "null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _problem(what: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=at.start_mark)


def _plain(value: Any, where: str, left: list[int], depth: int = 0) -> Any:
    """A copy without aliases, so that nobody unfolds them later; `left` counts what it may still hold."""
    left[0] -= 1
    if left[0] < 0:
        raise UserError(
            f"{where}: unfolds to over {MOST_VALUES:,} values by its aliases (& and *); write it out in short"
        )
    if depth > DEEPEST:
        raise UserError(f"{where}: lists and keys lie more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        return {key: _plain(inner, where, left, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, where, left, depth + 1) for inner in value]
    if value is not None and not isinstance(value, bool | int | float | str):
        raise UserError(f"{where}: has a value of the type {type(value).__name__}; write text, numbers, lists and keys")
    return value
