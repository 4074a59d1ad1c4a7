"""What a person says about a pipeline run that changes none of its results: a name, a note, tags.

One argument of the pipeline holds them, which `open_run` alone takes: neither the cache of the other steps nor a
candidate's id sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ferkit.errors import UserError
from ferkit.tracking import names
from ferkit.user_input import shown

LONGEST_NOTE: Final = 1_000
"""Characters of a note: it stands in front of a description of 5,000."""
LONGEST_KEY: Final = 250
LONGEST_TAG: Final = 500

_TAG: Final = re.compile(r"[\w.-][\w. /-]*", re.ASCII)
_OURS: Final = frozenset(
    [
        *(names.ARCHITECTURE, names.CANDIDATE_ID, names.GROUP, names.IMAGE, names.FAILURE, names.VERDICT),
        names.VERDICT_REASONS,
        *(names.VERSION, names.BEST_CANDIDATE, names.NOTE, "hardware", "precision"),
    ]
)
_PREFIXES: Final = (
    *("mlflow.", "kfp.", "git.", "code.", "data.", "pipeline.", "run.", "search.", "failure.", "owner.", "closed."),
    *("candidate.", "gate."),
)


@dataclass(frozen=True)
class Labels:
    """A person's labels of a pipeline run.

    Attributes:
        name: of the run; empty for the usual one, time and data.
        note: in front of its description, as Markdown; empty for none.
        tags: of the run and of its candidates, by name.
    """

    name: str = ""
    note: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, name: str, note: str, tags: Iterable[str]) -> Self:
        """From what a person typed.

        Args:
            name: of the run.
            note: a sentence or two.
            tags: each as `key=value`.

        Raises:
            UserError: something is too long, or a tag is not of that form, is there twice, or has a name of ours.
        """
        for what, text, longest in (("--name", name, names.LONGEST_NAME), ("--note", note, LONGEST_NOTE)):
            if len(text) > longest:
                raise UserError(f"{what}: at most {longest:,} characters (received {len(text):,})")
        found: dict[str, str] = {}
        for tag in tags:
            key, equals, value = tag.partition("=")
            said = f"--tag {shown(tag)[:80]}"
            if not equals or not _TAG.fullmatch(key):
                raise UserError(f"{said}: write key=value, the key of letters, digits, and `_`, `-`, `.`, `/`, blank")
            if key in _OURS or key.startswith(_PREFIXES):
                raise UserError(f"{said}: {key} is a tag that the pipeline or MLflow sets; use another name")
            if key in found:
                raise UserError(f"{said}: {key} is set twice")
            if len(key) > LONGEST_KEY or len(value) > LONGEST_TAG:
                raise UserError(f"{said}: at most {LONGEST_KEY} characters of key and {LONGEST_TAG} of value")
            found[key] = value
        return cls(name.strip(), note.strip(), found)

    def dump(self) -> dict[str, Any]:
        """As JSON types; nothing for none."""
        return asdict(self) if self != Labels() else {}

    @classmethod
    def load(cls, dump: Mapping[str, Any]) -> Self:
        """What `dump` returned."""
        return cls(**dump)

    @property
    def of_the_run(self) -> dict[str, str]:
        """Tags of the pipeline run alone: its note, also where MLflow shows a description."""
        return {names.NOTE: self.note, MLFLOW_RUN_NOTE: self.note} if self.note else {}
