"""Reading CSVs: every input is either read right or turned away with a row and a reason; rows in are rows out."""

from __future__ import annotations

import contextlib
import io
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.bad_input import BadInput
from components.source.lines import LONGEST_LINE
from components.source.rows import CsvReader, Rejected

USAGES = ("Training", "PublicTest", "PrivateTest")


class Read:
    """A CSV read to its end."""

    def __init__(self, csv: bytes, chunk: int = 256 * 1024, reject_constant: bool = True) -> None:
        reader = CsvReader(io.BytesIO(csv), "faces.csv", reject_constant=reject_constant, chunk=chunk)
        parts = list(reader.rows())
        self.side = reader.side
        self.sha256 = reader.sha256()
        self.count = sum(part.count for part in parts)
        self.rejected: list[Rejected] = [one for part in parts for one in part.rejected]
        self.faces = {
            int(row): (int(emotion), int(split), pixels.ravel().tolist())
            for part in parts
            for row, emotion, split, pixels in zip(part.row, part.emotion, part.split, part.pixels, strict=True)
        }
        assert self.count == len(self.faces) + len(self.rejected)
        assert sorted([*self.faces, *(one.row for one in self.rejected)]) == list(range(self.count))


def test_reads_the_original_form():
    read = Read(b"emotion,pixels,Usage\n0,70 80 82 72,Training\n6,1 2 3 255,PrivateTest\n")
    assert read.side == 2
    assert read.faces == {0: (0, 0, [70, 80, 82, 72]), 1: (6, 2, [1, 2, 3, 255])}


@pytest.mark.parametrize(
    "csv",
    [
        b"emotion, Usage, pixels\n3, PublicTest, 1 2 3 4\n",
        b"\xef\xbb\xbfemotion,pixels,Usage\r\n3,1 2 3 4,PublicTest\r\n",
        b'"emotion","pixels","Usage"\n"3","1 2 3 4","PublicTest"\n',
        b"emotion,pixels,Usage\n\n3,1 2 3 4,PublicTest",
        b"emotion,pixels,Usage\n" + b"\n" * 200 + b"3,1 2 3 4,PublicTest\n",
        b"Emotion,PIXELS,usage\n3 ,1\t2 0003  4,PublicTest\n  \n",
        b',emotion,pixels,Usage,"a, note"\n0,3,1 2 3 4,PublicTest,"x, y"\n',
    ],
)
def test_reads_the_forms_that_people_have(csv: bytes):
    assert Read(csv).faces == {0: (3, 1, [1, 2, 3, 4])}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"3,1 2 3,Training", "pixel count"),
        (b"3,1 2 3 4 5,Training", "pixel count"),
        (b"3,,Training", "pixel count"),
        (b"3,1 2 3 256,Training", "value outside 0..255"),
        (b"3,1 2 3 -4,Training", "value outside 0..255"),
        (b"3,1 2 3 1x7,Training", "not a number"),
        (b"3,1 2 3 4.0,Training", "not a number"),
        (b"7,1 2 3 4,Training", "unknown label"),
        (b",1 2 3 4,Training", "unknown label"),
        (b"3,1 2 3 4,Test", "unknown usage"),
        (b"3,1 2 3 4", "wrong number of fields"),
        (b"3,1 2 3 4,Training,x", "wrong number of fields"),
        (b'3,"1 2 3 4,Training', "wrong number of fields"),
        (b"3,9 9 9 9,Training", "constant image"),
    ],
)
def test_turns_a_bad_row_away_with_its_number_and_reason(line: bytes, reason: str):
    good = b"0,1 2 3 4,Training\n"
    read = Read(b"emotion,pixels,Usage\n" + good + line + b"\n" + good)
    assert [(one.row, one.reason) for one in read.rejected] == [(1, reason)]
    assert sorted(read.faces) == [0, 2]


def test_keeps_constant_images_when_asked():
    assert not Read(b"emotion,pixels,Usage\n3,9 9 9 9,Training\n", reject_constant=False).rejected


@pytest.mark.parametrize(
    ("csv", "sentence"),
    [
        (b"", "no column `pixels`"),
        (b"emotion,pixels,Usage\n", "no rows"),
        (b"0,1 2 3 4,Training\n", "no column `pixels`"),
        (b"emotion;pixels;Usage\n", "no column `pixels`"),
        (b"pixels,pixels\n1,1\n", "twice"),
        (b"emotion,pixels,Usage\n0,1 2 3,Training\n", "side*side"),
        ("emotion,pixels,Usage\n".encode("utf-16"), "UTF-16"),
        (b"PAR1xxxx", "Parquet"),
        (b"emotion,pixels,Usage\n0,1 2 3 4,Training\n" + b"1 " * (LONGEST_LINE // 2 + 300_000), "row 1 has over"),
    ],
)
def test_refuses_what_is_no_csv_of_faces(csv: bytes, sentence: str):
    with pytest.raises(BadInput, match=r"^faces\.csv: ") as refused:
        Read(csv)
    assert sentence in str(refused.value)


faces = st.tuples(st.integers(0, 6), st.lists(st.integers(0, 255), min_size=9, max_size=9), st.sampled_from(USAGES))


@settings(deadline=None)
@given(st.lists(faces, min_size=1, max_size=30), st.integers(1, 2000))
def test_reads_any_faces_in_any_chunk_size(rows: list[tuple[int, list[int], str]], chunk: int):
    csv = "emotion,pixels,Usage\n" + "".join(f"{e},{' '.join(map(str, p))},{u}\n" for e, p, u in rows)
    read = Read(csv.encode(), chunk, reject_constant=False)
    assert read.faces == {n: (e, USAGES.index(u), p) for n, (e, p, u) in enumerate(rows)}


def judge_slowly(line: bytes) -> tuple[int, int, list[int]] | None:
    """An independent reading of one unquoted line of 3 x 3 pixels."""
    cells = [cell.strip(b" \t") for cell in line.split(b",")]
    if len(cells) != 3 or cells[0] not in [b"%d" % n for n in range(7)] or cells[2].decode("latin-1") not in USAGES:
        return None
    tokens = cells[1].split()
    if len(tokens) != 9 or not all(all(48 <= byte <= 57 for byte in token) for token in tokens):
        return None
    pixels = [int(token) for token in tokens]
    return (int(cells[0]), USAGES.index(cells[2].decode()), pixels) if max(pixels) < 256 else None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_mutation_is_read_right_or_turned_away(data: st.DataObject):
    """Bytes replaced, put in and taken out anywhere after the header, quotes aside (they have their own tests)."""
    body = bytearray(b"3,1 20 255 0 5 6 77 8 9,Training\n0,9 8 7 6 5 4 3 2 100,PublicTest\n" * 4)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body)))
        new = data.draw(st.one_of(st.binary(max_size=2), st.sampled_from([b" ", b",", b"\n", b"9", b"\r\n", b"-"])))
        body[at : at + data.draw(st.integers(0, 3))] = new.replace(b'"', b"")
    csv = b"emotion,pixels,Usage\n3,1 20 255 0 5 6 77 8 9,Training\n" + bytes(body)
    read = Read(csv, chunk=data.draw(st.sampled_from([1, 50, 4096])), reject_constant=False)
    lines = [line.removesuffix(b"\r") for line in csv.split(b"\n")[1:]]
    lines = [line for line in lines if line.strip()]
    assert read.count == len(lines)
    assert read.faces == {n: face for n, line in enumerate(lines) if (face := judge_slowly(line)) is not None}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_read_or_refused_in_a_sentence(junk: bytes, with_header: bool):
    csv = b"emotion,pixels,Usage\n0,1 2 3 4,Training\n" + junk if with_header else junk
    with contextlib.suppress(BadInput):  # anything else fails, and so does a row that is lost: see Read
        Read(csv, chunk=64)


def test_mutated_real_rows(real_csv: Path):
    """Real lines with single bytes changed: the pixels of a row that is kept are those that int() reads."""
    with real_csv.open("rb") as file:
        header, *lines = [file.readline() for _ in range(201)]
    dice = random.Random(0)
    mutated = [lines[0]]
    for line in lines[1:]:
        changed = bytearray(line)
        for _ in range(dice.randrange(3)):
            changed[dice.randrange(len(line) - 1)] = dice.choice(b"0123456789 ,.-x\x00\xff")
        mutated.append(bytes(changed))
    read = Read(header + b"".join(mutated), reject_constant=False)
    assert read.count == len(mutated)
    assert 20 < len(read.rejected) < 180
    for row, (emotion, _, pixels) in read.faces.items():
        label, text, _ = mutated[row].split(b",")
        assert (emotion, pixels) == (int(label), [int(token) for token in text.split()])


def test_digests_do_not_depend_on_chunks(sample_csv: Path):
    csv = sample_csv.read_bytes()
    readers = [CsvReader(io.BytesIO(csv), "sample.csv", chunk=chunk) for chunk in (10_000, 1 << 20)]
    small, large = [list(reader.rows()) for reader in readers]
    assert b"".join(part.digests for part in small) == b"".join(part.digests for part in large)
    assert np.array_equal(np.concatenate([p.pixels for p in small]), np.concatenate([p.pixels for p in large]))
    assert readers[0].sha256() == readers[1].sha256()
