"""The data contract all steps share: a folder with one Parquet file per split, and `profile.json`.

The columns are in `ferkit.data.faces`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ferkit.errors import UserError

SPLITS: Final = ("train", "validation", "test")
USAGE: Final = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
PROFILE: Final = "profile.json"


@dataclass(frozen=True)
class Profile:
    """What `profile.json` holds.

    Attributes:
        source: `{"csv": its address, "kind": `sample` (drawn faces) or `csv`, "sha256": of the uncompressed CSV,
            "version": as `locate` found it, "rows": data rows in it}`.
        side: height and width of a face in pixels.
        splits: per split, the entry `SplitWriter.record` returns.
        rejected: rows that could not be used, by reason.
        duplicates: what was found and done about identical pixels, by kind.
        balance: what balancing did; empty before it.
    """

    source: dict[str, Any]
    side: int
    splits: dict[str, dict[str, Any]]
    rejected: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, Any] = field(default_factory=dict)
    balance: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The source's address, without secrets."""
        return str(self.source.get("csv", "unknown"))

    @property
    def is_drawn(self) -> bool:
        """Whether its faces were drawn by this project. A profile of version 0.1 has no kind: its address says so."""
        return self.source.get("kind", self.address.partition(":")[0]) == "sample"

    @property
    def digest(self) -> str:
        """One digest of all splits: the `data.digest` of tags."""
        joined = " ".join(f"{split}:{self.splits[split]['digest']}" for split in SPLITS)
        return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()


def write_profile(folder: Path, profile: Profile) -> None:
    """Writes `profile.json`, keys sorted, so that equal profiles are equal bytes."""
    (folder / PROFILE).write_text(json.dumps(vars(profile), indent=2, sort_keys=True) + "\n")


def read_profile(folder: Path | str) -> Profile:
    """Reads `profile.json` of a data set folder.

    Raises:
        UserError: the folder is none that `ingest` or `balance` made.
    """
    path = Path(folder) / PROFILE
    if not path.is_file():
        raise UserError(
            f"{folder}: not a data set folder (no {PROFILE} in it); use the output folder of ingest or balance"
        )
    try:
        return Profile(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: no whole profile of a data set ({error}); make the data set again") from None


def split_path(folder: Path | str, split: str) -> Path:
    """Where a split lies in a data set folder."""
    return Path(folder) / f"{split}.parquet"
