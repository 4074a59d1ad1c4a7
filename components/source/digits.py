"""Decimal numbers in text, read many at once with numpy: the fast way from CSV bytes to grey levels.

Contract
    Given text (uint8 (n,)) and m fields in it, each a stretch of bytes that should hold `width` whole numbers
    0..255 with one or more blanks between them, `read_fields` gives the values, uint8 (m, width), and says which
    fields it read. One that it did not read is either wrong or written in an unusual way (tabs, `0007`);
    `read_one_field` reads such a field slowly or gives the reason why nobody can. Both agree on every field that the
    fast way reads.

How
    No byte is looked at on its own. Over the whole text, whole-array operations on uint8 compute for EVERY position the
    number that would end there, from the digit at it and the two before it; then the positions where a number really
    ends (a digit with none after it) are picked out. That is about 20 operations a byte of the cheapest kind, 16 to 64
    bytes an instruction, on a chunk that fits the processor's cache; numpy releases the interpreter's lock in them, so
    that threads use all cores.
"""

from __future__ import annotations

import re
import threading

import numpy as np

_ZERO, _TEN, _BLANK = np.uint8(48), np.uint8(10), np.uint8(32)


class _Scratch(threading.local):
    """Working arrays of one thread, kept from chunk to chunk: making them anew costs more than filling them."""

    def __init__(self) -> None:
        self.bytes = np.empty((4, 0), np.uint8)
        self.flags = np.empty((4, 0), np.bool_)

    def of(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (4, length) and bool (4, length), contents undefined."""
        if self.bytes.shape[1] < length:
            self.bytes = np.empty((4, length * 5 // 4), np.uint8)
            self.flags = np.empty((4, length * 5 // 4), np.bool_)
        return self.bytes[:, :length], self.flags[:, :length]


_SCRATCH = _Scratch()


def read_fields(text: np.ndarray, starts: np.ndarray, stops: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers in m fields of a text.

    Args:
        text: uint8 (n,); a byte that is no digit stands before the first field, and after each.
        starts: int64 (m,), where fields start, ascending.
        stops: int64 (m,), where they stop (exclusive); fields do not overlap.
        width: how many numbers a field should hold.

    Returns:
        values: uint8 (k, width) of the k fields that were read, in order.
        read: bool (m,), which fields these are.
    """
    value, ends, odd = _numbers_at_every_byte(text)
    positions = np.flatnonzero(ends)
    first, last = positions.searchsorted(starts), positions.searchsorted(stops)
    odd_positions = np.flatnonzero(odd)
    clean = odd_positions.searchsorted(starts) == odd_positions.searchsorted(stops)
    read = clean & (last - first == width)
    numbers = value.take(positions)
    values = np.empty((int(read.sum()), width), np.uint8)
    for out, begin in zip(values, first[read].tolist(), strict=True):
        out[:] = numbers[begin : begin + width]
    return values, read


def _numbers_at_every_byte(text: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every position: the number that ends there (uint8), whether one does, and whether something is odd there.

    Odd is a byte that is neither digit nor blank, a fourth digit in a row, and a number over 255.
    """
    (digit, value, hundreds, work), (is_digit, odd, flag, pair) = _SCRATCH.of(len(text))
    np.subtract(text, _ZERO, out=digit)
    np.less(digit, _TEN, out=is_digit)
    np.multiply(digit, is_digit.view(np.uint8), out=digit)  # 0 where there is none
    value[:1] = digit[:1]
    np.multiply(digit[:-1], _TEN, out=value[1:])
    np.add(value[1:], digit[1:], out=value[1:])  # of the last two digits, at most 99

    pair[:1] = False
    np.logical_and(is_digit[1:], is_digit[:-1], out=pair[1:])  # a digit here and before
    hundreds[:2] = 0
    np.multiply(digit[:-2], pair[2:].view(np.uint8), out=hundreds[2:])

    np.not_equal(text, _BLANK, out=odd)
    np.greater(odd, is_digit, out=odd)  # neither blank nor digit
    np.logical_and(pair[2:], pair[:-2], out=flag[2:])  # four digits in a row
    np.logical_or(odd[2:], flag[2:], out=odd[2:])
    np.greater(value, np.uint8(55), out=flag)
    np.add(hundreds, flag.view(np.uint8), out=work)
    np.greater(
        work, np.uint8(2), out=flag
    )  # 300 or more, or 256..299; needs a third digit, so also beyond a number's end
    np.logical_or(odd, flag, out=odd)

    np.multiply(hundreds, np.uint8(100), out=hundreds)
    np.add(value, hundreds, out=value)
    np.greater(is_digit[:-1], is_digit[1:], out=flag[:-1])
    flag[-1:] = is_digit[-1:]
    return value, flag, odd


TOO_LONG = 8
"""Bytes a number, blanks included, beyond which a field is not looked at; a grey level needs four at most."""

WHOLE_NUMBER = re.compile(rb"-?[0-9]+")


def read_one_field(field: bytes, width: int) -> np.ndarray | tuple[str, str]:
    """The numbers of one field, uint8 (width,), or why it has none: a reason and what was found.

    The definition of a readable field: `width` tokens with white space between them, each of the digits 0 to 9 only,
    none over 255.
    """
    if len(field) > TOO_LONG * width + 1024:
        return "pixel count", f"a field of {len(field):,} bytes"
    tokens = field.split()
    for number, token in enumerate(tokens):
        if not WHOLE_NUMBER.fullmatch(token):
            return "not a number", f"{_quoted(token)} at pixel {number}"
    for number, token in enumerate(tokens):
        digits = token.lstrip(b"0") or b"0"
        if not digits.isdigit() or len(digits) > 3 or int(digits) > 255:
            return "value outside 0..255", f"{_quoted(token)} at pixel {number}"
    if len(tokens) != width:
        return "pixel count", f"{len(tokens):,} pixels, not {width:,}"
    return np.array([int(token) for token in tokens], np.uint8)


def _quoted(token: bytes) -> str:
    return repr(token[:40].decode("ascii", "backslashreplace"))
