"""The first pass over a CSV: unusable rows are rejected, the pixels of the others written to a temporary file.

Of every row 22 bytes stay in memory: number, label, split, digest.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from components.ingest.parameters import Ingest
from ferkit.data import EMOTIONS
from ferkit.data.source import CsvReader, OpenCsv, Rejected
from ferkit.data.source.row import EMPTY_USAGE
from ferkit.errors import UserError

CURES: Final = {
    EMPTY_USAGE: "fill in Training, PublicTest and PrivateTest, or have the faces split by seed "
    "(--set ingest.split_by=seed)",
    "unknown usage": "write Training, PublicTest and PrivateTest, or have the faces split by seed "
    "(--set ingest.split_by=seed)",
    "unknown label": f"write {', '.join(f'{number} for {name}' for number, name in enumerate(EMOTIONS))}",
    "not a whole number": "round the grey levels to whole numbers 0..255",
    "value outside 0..255": "bring the grey levels to 0..255",
    "pixel count": "write the same number of pixels for every face",
    "wrong number of fields": "write the header's cells in every row, with quotes around those that hold commas",
    "constant image": "take out the faces of one grey level",
}
"""What to do about rows that cannot be used, by the reason of most of them."""

REJECTED: Final = "rejected.csv"


@dataclass(frozen=True)
class Read:
    """What the first pass keeps of n usable rows: row int64, emotion uint8, split uint8 (None: no Usage), digests."""

    count: int
    side: int
    sha256: str
    row: np.ndarray
    emotion: np.ndarray
    split: np.ndarray | None
    digests: bytearray
    rejected: Counter[str]
    first_rejected: Rejected | None


class Spool:
    """A temporary file of pixels: written once, read once, never all in memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        path.unlink()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, pixels: np.ndarray) -> None:
        data = np.ascontiguousarray(pixels).reshape(-1).data
        while data:
            data = data[self._file.write(data) :]

    def read(self, pixels: np.ndarray) -> None:
        """Fills `pixels`, uint8 (faces, side, side), with the next faces."""
        rest = pixels.data.cast("B")
        while rest:
            rest = rest[self._file.readinto(rest) :]

    def rewind(self) -> None:
        self._file.seek(0)


def read_rows(opened: OpenCsv, folder: Path, spool: Spool, parameters: Ingest) -> Read:
    """The first pass: rejected rows to `rejected.csv`, pixels to the spool, the rest to memory."""
    reader = CsvReader(
        opened.stream,
        opened.name,
        reject_constant=parameters.reject_constant,
        split_by_seed=parameters.split_by == "seed",
    )
    if reader.columns.emotion is None:
        raise UserError(
            f"{opened.name}: has no column `emotion`, so nothing can be learned from it; `ferpipe predict` labels it"
        )
    count, reasons = 0, Counter[str]()
    row, emotion, split, digests = (bytearray() for _ in range(4))  # grow in place, unlike lists of small arrays
    first_rejected: Rejected | None = None
    with (folder / REJECTED).open("w", newline="", encoding="ascii") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["row", "reason", "excerpt"])
        for rows in reader.rows():
            count += rows.count
            row += rows.row.astype(np.int32).tobytes()
            emotion += rows.emotion.tobytes()
            split += rows.split.tobytes()
            digests += rows.digests
            spool.write(rows.pixels)
            table.writerows((one.row, one.reason, one.excerpt) for one in rows.rejected)
            first_rejected = first_rejected or next(iter(rows.rejected), None)
            reasons.update(one.reason for one in rows.rejected)
    return Read(
        count,
        reader.side,
        reader.sha256(),
        np.frombuffer(row, np.int32),
        np.frombuffer(emotion, np.uint8),
        np.frombuffer(split, np.uint8) if reader.columns.usage is not None else None,
        digests,
        reasons,
        first_rejected,
    )


def refuse_too_many_rejected(name: str, read: Read, most: float) -> None:
    rejected = sum(read.rejected.values())
    if read.first_rejected and rejected > most * read.count:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in read.rejected.most_common())
        first = f"the first is row {read.first_rejected.row}, {read.first_rejected.excerpt}"
        cure = CURES.get(read.rejected.most_common(1)[0][0], "mend the CSV")
        if read.rejected[EMPTY_USAGE] == read.count:
            raise UserError(f"{name}: its column Usage is empty in all {read.count:,} rows; {cure}")
        raise UserError(
            f"{name}: {rejected:,} of {read.count:,} rows cannot be used ({reasons}; {first}), more than "
            f"max_rejected_fraction={most:g} allows; {cure}, or allow more"
        )
