"""Faces without labels: what `ferpipe predict` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ferkit.data.source.opening import open_csv
from ferkit.data.source.row import Rejected
from ferkit.data.source.rows import CsvReader


def read_pixels(
    csv: str, rejected: list[Rejected] | None = None, on_read: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The faces of a CSV that has a column `pixels`, chunk by chunk; labels and splits do not matter.

    Args:
        csv: its address, see `open_csv`.
        rejected: takes the rows that cannot be read; without it, they are left out.
        on_read: told after each chunk how many bytes of the file, as it lies, were read for it.

    Yields:
        row: int64 (n,), 0-based data rows.
        pixels: uint8 (n, side, side).

    Raises:
        UserError: see `open_csv` and `CsvReader`.
    """
    with open_csv(csv) as opened:
        reader = CsvReader(opened.stream, opened.name, reject_constant=False, unlabelled=True)
        before = 0
        for rows in reader.rows():
            at = opened.bytes_read()
            on_read(at - before)
            before = at
            if rejected is not None:
                rejected.extend(rows.rejected)
            if len(rows.row) or rejected:
                yield rows.row, rows.pixels
