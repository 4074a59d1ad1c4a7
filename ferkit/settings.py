"""A section of settings: every parameter once, with type, default, bounds and help.

Each step that has settings owns one `Settings`; `pipeline/parameters.py` composes them. The DAG's defaults, the CLI's
help, the check of a config file and MLproject are all taken from there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from ferkit.errors import UserError, nearest
from ferkit.user_input import refuse_rounded, shorten, shown


@dataclass(frozen=True)
class Renamed:
    """A parameter that was called otherwise in 0.1. Its old name works, with a warning, until 0.3.

    Attributes:
        name: what it is called now.
        values: what its old values are called now, where they are called otherwise.
    """

    name: str
    values: Mapping[str, str] = field(default_factory=dict)


class Settings(BaseModel):
    """Base of all sections. Unknown keys are refused; values are frozen once parsed.

    Write a field as `epochs: int = Field(default=10, ge=1, description="passes over the faces")`: the description is
    the help a person reads, and names the unit. What may hold a password says `repr=False`, and no sentence shows it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    section: ClassVar[str] = ""
    """The section's name in a config file: the first word of every sentence about it."""

    renamed: ClassVar[Mapping[str, Renamed]] = {}
    """What parameters, or their values, were called in 0.1."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """The section with `values` in place of its defaults.

        Raises:
            UserError: naming the first key that is unknown (with the nearest right one) or whose value does not fit.
        """
        return cls._parse(values, cls.section)

    @classmethod
    def parse_under(cls, name: str, values: Mapping[str, Any]) -> Self:
        """As `parse`, for one of several sections of a kind: sentences call it `name`."""
        return cls._parse(values, name)

    @classmethod
    def _parse(cls, values: Mapping[str, Any], section: str) -> Self:
        values = cls.rename(values)
        known = cls.names()
        for key in values:
            if key not in known:
                raise UserError(f"{_path(section, shown(key)[:80])}: no such parameter; {nearest(str(key), known)}")
        refuse_rounded(dict(values), section)
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            where = _path(section, ".".join(str(part) for part in first["loc"]))
            sentence = first["msg"].removeprefix("Value error, ")
            if not cls._unseen().intersection(first["loc"][:1]):
                sentence += f" (received {shorten(first['input'])})"
            raise UserError(f"{where}: {sentence}") from None

    @classmethod
    def rename(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values under the names of today; old names are warned of, once each.

        Raises:
            UserError: a parameter is set by its old and its new name.
        """
        today: dict[str, Any] = {}
        for key, value in values.items():
            name, new = key, value
            if isinstance(key, str) and (was := cls.renamed.get(key)):
                name = was.name
                new = was.values.get(value, value) if isinstance(value, str) else value
                old, now = _path(cls.section, key), _path(cls.section, name)
                if name in values and name != key:
                    raise UserError(f"{old}: is the old name of {name}, which is set too; drop {key}")
                if name != key:
                    _warn(f"{old} is called {name} since 0.2; the old name will be refused in 0.3")
                if new is not value:
                    _warn(f"{now}: {value} is called {new} since 0.2; the old word will be refused in 0.3")
            today[name] = new
        return today

    @classmethod
    def names(cls) -> list[str]:
        """The keys, as a config file spells them, in order."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def _unseen(cls) -> set[str]:
        """The keys whose values no sentence shows."""
        return {field.alias or name for name, field in cls.model_fields.items() if not field.repr}


def _path(section: str, key: str) -> str:
    return ".".join(part for part in (section, key) if part)


@cache
def _warn(sentence: str) -> None:
    """Warns once in a process: sections are parsed several times on their way."""
    logging.getLogger("ferpipe").warning(sentence)


def whole_numbers(value: Any) -> Any:
    """Whole numbers as a person wrote them: kfp hands every number on as a float (3 as 3.0)."""
    if isinstance(value, Mapping):
        return {key: whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
