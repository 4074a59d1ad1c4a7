"""The fast number reader against int(), number by number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkit.data.source.digits import read_one_field, scan


def read(field: bytes, width: int) -> list[int] | None:
    """One field the fast way, with text around it that must not matter."""
    text = b"3," + field + b",Training\n"
    values, ok = scan(np.frombuffer(text, np.uint8)).read_fields(np.array([2]), np.array([2 + len(field)]), width)
    return values[0].tolist() if ok[0] else None


def test_reads_every_grey_level():
    levels = list(range(256))
    assert read(b" ".join(b"%d" % level for level in levels), 256) == levels


def test_reads_leading_zeros_and_runs_of_blanks():
    assert read(b"  007 08   9 ", 3) == [7, 8, 9]


@pytest.mark.parametrize(
    "wrong", [b"256", b"299", b"300", b"999", b"1000", b"-1", b"1.0", b"x", b"1x", b"+1", b"\xff", b"\x00"]
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_refuses_what_is_no_grey_level_wherever_it_stands(wrong: bytes, place: int):
    tokens = [b"255", b"0", b"99"]
    tokens[place] = wrong
    field = b" ".join(tokens)
    assert read(field, 3) is None
    assert isinstance(read_one_field(field, 3), tuple)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_refuses_another_count(count: int):
    field = b" ".join([b"5"] * count)
    assert read(field, 3) is None
    assert read_one_field(field, 3) == ("pixel count", f"{count} pixels, not 3")


def test_names_the_first_wrong_number_and_its_place():
    assert read_one_field(b"1 2 300", 3) == ("value outside 0..255", "'300' at pixel 2")
    assert read_one_field(b"1 -2 3", 3) == ("value outside 0..255", "'-2' at pixel 1")
    assert read_one_field(b"1e1 2 3", 3) == ("not a number", "'1e1' at pixel 0")


def test_a_field_too_long_for_the_fast_way_is_read_the_slow_way():
    field = b"1" + b" " * 2000 + b"2"
    assert read(field, 2) is None
    slow = read_one_field(field, 2)
    assert isinstance(slow, np.ndarray)
    assert slow.tolist() == [1, 2]


def test_reads_more_leading_zeros_than_int_does():
    values = read_one_field(b"0" * 5000 + b"7" + b" 1" * 999, 1000)
    assert not isinstance(values, tuple)
    assert values.tolist() == [7] + [1] * 999


def test_reads_several_fields_of_a_text_and_says_which():
    text = b"1 2\n3 x\n5 6\n"
    values, ok = scan(np.frombuffer(text, np.uint8)).read_fields(np.array([0, 4, 8]), np.array([3, 7, 11]), 2)
    assert ok.tolist() == [True, False, True]
    assert values.tolist() == [[1, 2], [5, 6]]


TOKENS = st.one_of(
    st.integers(0, 255).map(lambda level: b"%d" % level),
    st.from_regex(rb"\A[0-9]{1,5}\Z"),
    st.binary(min_size=1, max_size=4),
)


@settings(deadline=None)
@given(st.lists(TOKENS, max_size=8), st.lists(st.sampled_from([b" ", b"  ", b"\t"]), min_size=8, max_size=8))
def test_fast_and_slow_agree_on_any_bytes(tokens: list[bytes], blanks: list[bytes]):
    field = b"".join(token + blank for token, blank in zip(tokens, blanks, strict=False))
    field = field.replace(b"\n", b"").replace(b",", b"")
    width = max(1, len(tokens))
    fast, slow = read(field, width), read_one_field(field, width)
    if fast is not None:
        assert not isinstance(slow, tuple)
        assert fast == slow.tolist()
    if not isinstance(slow, tuple):
        assert slow.tolist() == [int(token) for token in field.split()]
