"""A section of settings: every parameter once, with type, default, bounds and help.

Each step that has settings owns one `Settings`; `pipeline/parameters.py` composes them. The DAG's defaults, the CLI's
help, the check of a config file and MLproject are all taken from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from ferkit.errors import UserError, nearest
from ferkit.user_input import refuse_rounded, shorten, shown


class Settings(BaseModel):
    """Base of all sections. Unknown keys are refused; values are frozen once parsed.

    Write a field as `epochs: int = Field(default=10, ge=1, description="passes over the faces")`: the description is
    the help a person reads, and names the unit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    section: ClassVar[str] = ""
    """The section's name in a config file: the first word of every sentence about it."""

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """The section with `values` in place of its defaults.

        Raises:
            UserError: naming the first key that is unknown (with the nearest right one) or whose value does not fit.
        """
        known = cls.names()
        for key in values:
            if key not in known:
                raise UserError(f"{cls._path(shown(key)[:80])}: no such parameter; {nearest(str(key), known)}")
        refuse_rounded(dict(values), cls.section)
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            where = cls._path(".".join(str(part) for part in first["loc"]))
            sentence = first["msg"].removeprefix("Value error, ")
            raise UserError(f"{where}: {sentence} (received {shorten(first['input'])})") from None

    @classmethod
    def names(cls) -> list[str]:
        """The keys, as a config file spells them, in order."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def _path(cls, key: str) -> str:
        return ".".join(part for part in (cls.section, key) if part)
