"""What people write, read in one way: text files, and values as a sentence shows them.

Text is UTF-8; UTF-16 and UTF-32 with their mark (PowerShell writes them) are read too. A sentence shows a value in
short, on one line, with what cannot be printed escaped.
"""

from __future__ import annotations

import codecs
import os
import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from ferkit.errors import UserError

LARGEST_TEXT: Final = 1024 * 1024
"""Bytes of a config file; one of 3,000 candidates has 200 kB."""

LARGEST_NUMBER: Final = 2**53
"""Whole numbers up to which a double holds every one. kfp and JSON carry numbers as doubles, and round larger ones."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path, cure: str = "use a text file") -> str:
    """A text file that a person wrote.

    Args:
        path: of the file.
        cure: what to do where there is none; the end of the sentence.

    Raises:
        UserError: there is none that can be read, it is too large, or it is not text in UTF-8.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{shown(path)}: is {'a folder' if path.is_dir() else 'no file'}; {cure}")
        with path.open("rb") as file:
            data = file.read(LARGEST_TEXT + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else "no such file"
        raise UserError(f"{shown(path)}: {reason}; {cure}") from None
    if len(data) > LARGEST_TEXT:
        raise UserError(f"{shown(path)}: has over {LARGEST_TEXT:,} bytes, and is no text that a person wrote; {cure}")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{data[error.start]:02x} on line {line}"
        raise UserError(f"{shown(path)}: is not {encoding.upper()} text ({found}); save it as UTF-8") from None
    if "\0" in text:
        raise UserError(f"{shown(path)}: holds NUL characters, as no text in UTF-8 does; save it as UTF-8")
    return text


def refuse_rounded(value: Any, where: str) -> None:
    """Refuses whole numbers that would arrive rounded, and text that cannot travel, wherever they are in a value.

    Raises:
        UserError: naming the place.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse_rounded(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            refuse_rounded(inner, f"{where}[{number}]")
    elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        raise UserError(
            f"{where}: whole numbers over 2**53 ({LARGEST_NUMBER:,}) are rounded on their way to the steps; use a "
            f"smaller one (received {shorten(value)})"
        )
    elif isinstance(value, str) and (found := re.search("[\x00\ud800-\udfff]", value)):
        # The character only: the rest may be an address with a password in it.
        raise UserError(
            f"{where}: holds what is no text in UTF-8 ({found[0]!r}, character {found.start() + 1}); write it in UTF-8"
        )


_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that no byte was made into: JSON and YAML may hold them, UTF-8 may not."""


def shown(text: object) -> str:
    """Text that is not ours (a path, a name), on one line: bytes that are not UTF-8 and control characters escaped.

    >>> shown("a\\nb"), shown(b"caf\\xe9.png".decode("utf-8", "surrogateescape")), shown("café.png")
    ('a\\\\nb', 'caf\\\\xe9.png', 'café.png')
    >>> shown("half a character: \\ud800")
    'half a character: \\\\ud800'
    """
    whole = _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", str(text))
    whole = whole.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if whole.isprintable():
        return whole
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in whole)


def inert(cell: str, before: str = "./") -> str:
    """A cell of a CSV that no spreadsheet takes for a formula: something goes before what would begin one.

    A path with `./` before it is the same path; before other text an apostrophe is usual.

    >>> inert("=1+1.png"), inert("7.png")
    ('./=1+1.png', '7.png')
    """
    return f"{before}{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") and cell else cell


@contextmanager
def writing_text(path: Path, cure: str) -> Iterator[TextIO]:
    """A text file in UTF-8 that appears when the block ends well, and else not at all; what was there stays until then.

    What cannot be written in UTF-8 (bytes of a file's name) is written as `\\udce9`. A device or pipe is written to as
    the block goes.

    Raises:
        UserError: it cannot be written there; ends with `cure`.
    """
    whole = not path.exists() or path.is_file()
    part = path.with_name(f".ferpipe-{os.getpid()}.part") if whole else path
    try:
        file = part.open("w", newline="", encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such name"
        raise UserError(f"{shown(path)}: cannot be written ({reason}); {cure}") from None
    try:
        with file:
            yield file
        if whole:
            part.replace(path)
    except BaseException:
        if whole:
            part.unlink(missing_ok=True)
        raise


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if abs(x) < 10**40 else f"a number of {x.bit_length() * 301 // 1000:,} digits"


_SHORT = _Short()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 80, 80
_SHORT.maxlist = _SHORT.maxdict = _SHORT.maxtuple = 4

LONGEST_SHOWN: Final = 200


def shorten(value: object) -> str:
    """A value as a sentence shows it: as `repr` does, in 200 characters at most.

    >>> shorten([1] * 100), shorten("x" * 9), shorten({"a": {"b": {"c": {"d": 1}}}})
    ('[1, 1, 1, 1, ...]', "'xxxxxxxxx'", "{'a': {'b': {'c': {...}}}}")
    """
    text = _SHORT.repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def one_line(text: str) -> str:
    """A text of several lines on one, in 200 characters at most."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[: LONGEST_SHOWN - 3]}..."


def split_assignment(assignment: str, example: str) -> tuple[str, str]:
    """A `name=value` of the command line, as name and text.

    Raises:
        UserError: there is no `=` in it.
    """
    name, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(f"{shorten(assignment)}: write name=value, such as {example}")
    return name, text
