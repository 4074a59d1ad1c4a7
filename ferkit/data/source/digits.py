"""Decimal numbers in text, read many at once with numpy: the fast way from CSV bytes to grey levels.

Contract
    `scan` finds all numbers of a text (uint8 (n,)). With m fields in it, each a stretch of bytes that should hold
    `width` whole numbers 0..255 with one or more blanks between them, `Scan.read_fields` returns the values, uint8
    (m, width), and says which fields it read. One that it did not read is either wrong or written in an unusual way
    (tabs, `0007`, thousands of blanks); `read_one_field` reads such a field slowly or returns why it cannot be read.
    Both agree on every field that the fast way reads.

How
    No byte is looked at on its own. Whole-array operations on uint8 find for every byte the number that would end
    there, and the positions where one does end (a digit with none after it), from which the numbers are gathered.
    What no plain number has (other bytes, a fourth digit, a value over 255) is marked, and a field with a mark is not
    read. numpy works on 16 to 64 bytes an instruction, on chunks that fit the processor's cache, and releases the
    interpreter's lock meanwhile, so that threads use all cores.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

import numpy as np

_ZERO, _TEN, _BLANK = np.uint8(48), np.uint8(10), np.uint8(32)


class _Scratch(threading.local):
    """Working arrays of one thread, kept from chunk to chunk: allocating them again costs more than filling them."""

    def __init__(self) -> None:
        self.digit = np.empty(0, np.uint8)
        self.flags = np.empty((4, 0), np.bool_)

    def of(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (length + 2,) whose first two are no digits, and bool (4, length), contents undefined."""
        if self.flags.shape[1] < length:
            self.digit = np.full(length * 5 // 4 + 2, 255, np.uint8)
            self.flags = np.empty((4, length * 5 // 4), np.bool_)
        return self.digit[: length + 2], self.flags[:, :length]


_SCRATCH = _Scratch()


@dataclass(frozen=True)
class Scan:
    """The k numbers of a text.

    Attributes:
        values: uint8 (k,), of no meaning where the number is odd.
        ends: int64 (k,), positions of their last digits, ascending.
        odd: int64, positions of what is odd, ascending: a byte that is neither digit nor blank, a fourth digit in a
            row, the end of a number over 255.
    """

    values: np.ndarray
    ends: np.ndarray
    odd: np.ndarray

    def read_fields(self, starts: np.ndarray, stops: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The numbers in m fields.

        Args:
            starts: int64 (m,), where fields start, ascending.
            stops: int64 (m,), where they stop (exclusive); fields do not overlap. A byte that is no digit stands before
                and after each field, or the text ends there.
            width: how many numbers a field should hold.

        Returns:
            values: uint8 (r, width) of the r fields that were read, in order.
            read: bool (m,), which fields these are.
        """
        first, last = self.ends.searchsorted(starts), self.ends.searchsorted(stops)
        read = (self.odd.searchsorted(starts) == self.odd.searchsorted(stops)) & (last - first == width)
        read &= stops - starts <= _longest(width)
        if not read.any():
            return np.empty((0, width), np.uint8), read
        return np.lib.stride_tricks.sliding_window_view(self.values, width)[first[read]], read


def scan(text: np.ndarray) -> Scan:
    """Finds all numbers of a text, uint8 (n,)."""
    padded, (is_digit, odd, flag, run) = _SCRATCH.of(len(text))
    digit = padded[2:]
    np.subtract(text, _ZERO, out=digit)
    np.less(digit, _TEN, out=is_digit)
    np.greater(is_digit[:-1], is_digit[1:], out=flag[:-1])
    flag[-1:] = is_digit[-1:]
    ends = np.flatnonzero(flag)
    np.not_equal(text, _BLANK, out=odd)
    np.greater(odd, is_digit, out=odd)  # neither blank nor digit

    part = flag.view(np.uint8)  # for every byte what it adds to a number that ends there; first ones and tens
    np.multiply(digit[:-1], _TEN, out=part[1:])
    np.multiply(part[1:], is_digit[:-1].view(np.uint8), out=part[1:])
    part[:1] = 0
    np.add(part, digit, out=part)
    value = part.take(ends)  # (k,)
    np.logical_and(is_digit[1:], is_digit[:-1], out=run[1:])
    run[:1] = False
    three = is_digit
    np.logical_and(run[1:], run[:-1], out=three[1:])
    three[:1] = False
    np.multiply(padded[:-2], three.view(np.uint8), out=part)
    hundreds = part.take(ends)
    np.logical_and(three[1:], three[:-1], out=run[1:])  # four digits in a row
    np.logical_or(odd, run, out=odd)

    over = np.flatnonzero(hundreds + (value > np.uint8(55)).view(np.uint8) > np.uint8(2))  # 300.. or 256..299
    np.add(value, hundreds * np.uint8(100), out=value)
    marked = np.flatnonzero(odd)
    return Scan(value, ends, np.sort(np.concatenate([marked, ends[over]])) if len(over) else marked)


TOO_LONG = 8
"""Bytes a number, blanks included, beyond which a field is not read the fast way; a grey level needs four at most."""

WHOLE_NUMBER = re.compile(rb"-?[0-9]+")
FRACTION = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
SCIENTIFIC = re.compile(rb"-?[0-9]\.[0-9]+e[+-][0-9]{2}")

_BETWEEN_LINES = re.compile(rb"[\])][\s,;]*[\[(]")
_NO_FRACTION = re.compile(rb"(?<=[0-9])\.0*(?=\s|$)")
_BLANKS = bytes.maketrans(b"\t\r\n", b"   ")


def read_one_field(field: bytes, width: int) -> np.ndarray | tuple[str, str]:
    """The numbers of one field, uint8 (width,), or why it has none: a reason and what was found.

    The definition of a readable field: `width` tokens with white space between them, each of the digits 0 to 9 only,
    none over 255, once `as_plain` has had it.
    """
    plain = as_plain(field)
    padded = np.frombuffer(b" %b " % plain, np.uint8)
    values, read = scan(padded).read_fields(np.array([1]), np.array([len(padded) - 1]), width)
    if read[0]:
        return values[0].copy()
    tokens = plain.split()
    for at, token in enumerate(tokens):
        if not WHOLE_NUMBER.fullmatch(token):
            whole = not FRACTION.fullmatch(token) or float(token).is_integer()
            return "not a number" if whole else "not a whole number", f"{_quoted(token)} at pixel {at}"
    levels = []
    for at, token in enumerate(tokens):
        digits = token.lstrip(b"0") or b"0"  # int() refuses over 4,300 digits, zeros among them
        if not digits.isdigit() or len(digits) > 3 or int(digits) > 255:
            return "value outside 0..255", f"{_quoted(token)} at pixel {at}"
        levels.append(int(digits))
    if len(tokens) != width:
        return "pixel count", f"{len(tokens):,} pixels, not {width:,}"
    return np.array(levels, np.uint8)


def as_plain(field: bytes) -> bytes:
    """The field with blanks alone between its numbers, where it is written throughout in another way without a doubt.

    Numbers may have a comma or a semicolon between every two, brackets around them all and around every line of the
    face, and be written as `70.0`, `70.` or `7.0e+01` if all are. A field in which only some are so is left as it is.

    >>> as_plain(b"[[70, 80], [82, 72]]"), as_plain(b"70.0 80.0"), as_plain(b"70,80 82"), as_plain(b"70 80.0")
    (b'70  80 82  72', b'70 80', b'70,80 82', b'70 80.0')
    """
    plain = field.strip()
    if plain[:1] in (b"[", b"("):
        inner = _BETWEEN_LINES.sub(_separator_in, plain)
        opened = len(inner) - len(inner.lstrip(b"[( \t\r\n"))
        outer = inner[:opened].translate(None, b" \t\r\n")
        closed = inner.rstrip(b"]) \t\r\n")
        if inner[len(closed) :].translate(None, b" \t\r\n") == outer.translate(bytes.maketrans(b"[(", b"])"))[::-1]:
            bare = closed[opened:]
            plain = plain if any(bracket in bare for bracket in b"[]()") else bare
    plain = plain.translate(_BLANKS)
    for separator in (b",", b";"):
        if separator in plain:
            parts = plain.split(separator)
            if all(len(part.split()) == 1 for part in parts):
                plain = plain.replace(separator, b" ")
            break
    if b"." in plain:
        whole, without = _NO_FRACTION.subn(b"", plain)
        tokens = plain.split()
        if without == len(tokens):
            return whole
        if all(SCIENTIFIC.fullmatch(token) for token in tokens):
            numbers = [float(token) for token in tokens]
            if all(number.is_integer() for number in numbers):
                return b" ".join(b"%d" % number for number in numbers)
    return plain


def _separator_in(between: re.Match[bytes]) -> bytes:
    """What separates the numbers where one line of a face ends and the next begins."""
    return next((mark for mark in (b",", b";") if mark in between[0]), b" ")


def _longest(width: int) -> int:
    """Bytes beyond which a field of that many numbers is not read the fast way."""
    return TOO_LONG * width + 1024


def _quoted(token: bytes) -> str:
    return repr(token[:40].decode("ascii", "backslashreplace"))
