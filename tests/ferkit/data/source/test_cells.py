"""Cutting lines into cells: all at once as one alone, and in a time that grows with the line, not with its square."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkit.data.source.cells import find_cells, find_lines, split_cells, without_quotes


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        (b"", [b""]),
        (b'""', [b""]),
        (b'a,"b, c"\t, "d ""e""" ', [b"a", b"b, c", b'd "e"']),
        (b'"""",', [b'"', b""]),
        (b'"', None),
        (b'"""', None),
        (b'a"b"', None),
        (b'"a"b', None),
        (b'"a""b', None),
        (b'  "a" b,c', None),
    ],
)
def test_cuts_a_line(line: bytes, cells: list[bytes] | None):
    assert split_cells(line) == cells


@pytest.mark.parametrize(
    ("start", "run", "end"),
    [
        (b"3,", b" ", b'x",Training'),
        (b"3,", b" ", b'"x"y,Training'),
        (b'3,"x"', b" ", b"y,Training"),
        (b'3,"', b'""', b"x,Training"),
        (b"3", b" \t,", b'x"'),
    ],
)
def test_a_stray_quote_is_found_at_once_however_long_the_line(start: bytes, run: bytes, end: bytes):
    """With a square of the length in it, this would take hours."""
    assert split_cells(start + 400_000 * run + end) is None


PIECES = st.lists(st.sampled_from([b'"', b",", b" ", b"x", b"\t", b'"x"', b'"x",', b","]), max_size=9).map(b"".join)


@settings(deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8), st.integers(1, 5))
def test_cells_that_are_found_are_those_that_a_line_is_cut_into(texts: list[bytes], count: int):
    text = np.frombuffer(b"".join(line + b"\n" for line in texts), np.uint8)
    marks = np.arange(len(text))
    starts, stops = find_lines(text, marks)
    lines, begins, ends = find_cells(text, marks, starts, stops, count)
    begins, ends = without_quotes(text, begins, ends)
    for line, begin, end in zip(lines, begins, ends, strict=True):
        cells = [text[a:b].tobytes().strip(b" \t") for a, b in zip(begin, end, strict=True)]
        assert cells == split_cells(text[starts[line] : stops[line]].tobytes())
    plain = [line for line in texts if line.strip()]
    usual = [n for n, line in enumerate(plain) if line.count(b",") == count - 1 and b'"' not in line]
    assert set(usual) <= set(lines.tolist())
