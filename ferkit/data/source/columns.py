"""Which column of a FER2013-style CSV holds what, from its header line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ferkit.data.source.cells import split_cells
from ferkit.errors import UserError

_MARKS: Final = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"PAR1": "a Parquet file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\x00": "an xz file",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
}


@dataclass(frozen=True)
class Columns:
    """Positions of the columns in a row.

    Attributes:
        count: how many columns a row has.
        named: how many there are up to the last that has a name; cells beyond may be missing, or stand there empty.
        pixels: position of the grey levels, blank-separated.
        emotion: position of the label 0..6; None in an unlabelled CSV.
        usage: position of Training, PublicTest, PrivateTest; None in a CSV without splits.
    """

    count: int
    named: int
    pixels: int
    emotion: int | None
    usage: int | None

    @property
    def known(self) -> int:
        """How many of the three columns there are."""
        return 1 + (self.emotion is not None) + (self.usage is not None)

    def fit(self, cells: list[bytes]) -> bool:
        """Whether these are the cells of a row: one for every column with a name, and nothing in any further ones."""
        return len(cells) >= self.named and (len(cells) <= self.count or not any(cells[self.count :]))


def find_columns(header: bytes, name: str) -> Columns:
    """The columns that a header line names; their order and case, blanks and quotes, and other columns do not matter.

    Args:
        header: the first line, or what there is of it.
        name: of the file, for the sentence.

    Raises:
        UserError: there is no column `pixels`, or one of the three occurs twice.
    """
    for mark, kind in _MARKS.items():
        if header.startswith(mark):
            raise UserError(f"{name}: is {kind}; use the CSV in it, plain or as .gz, .zip or .tar.gz, in UTF-8")
    line = header.removeprefix(b"\xef\xbb\xbf").strip(b"\r\n")
    if b"\r" in line and b"\n" not in header:
        raise UserError(f"{name}: its lines end in carriage returns alone; save it with line feeds (LF, or CR LF)")
    names = [cell.decode("utf-8", "backslashreplace").casefold() for cell in split_cells(line) or []]
    found: dict[str, int] = {}
    for wanted in ("pixels", "emotion", "usage"):
        if names.count(wanted) > 1:
            raise UserError(f"{name}: its header names the column `{wanted}` twice; take one out")
        if wanted in names:
            found[wanted] = names.index(wanted)
    if "pixels" not in found:
        shown = ascii(line[:60].decode("utf-8", "backslashreplace"))
        raise UserError(
            f"{name}: its first line has no column `pixels`; start it with emotion,pixels,Usage, with commas between "
            f"(it is {shown})"
        )
    named = max(n for n, column in enumerate(names, 1) if column)
    return Columns(len(names), named, found["pixels"], found.get("emotion"), found.get("usage"))
