"""Reading CSVs: every input is either read right or rejected with a row and a reason; rows in are rows out."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkit.data.source.lines import LONGEST_LINE
from ferkit.data.source.row import Rejected
from ferkit.data.source.rows import CsvReader
from ferkit.errors import UserError

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
        (b"3,1 2 3 0.5,Training", "not a whole number"),
        (b'3,"1,2 3 4",Training', "not a number"),
        (b"3,[1 2 3 4,Training", "not a number"),
        (b"3,[1 2 3 4)],Training", "not a number"),
        (b"3,1 2 3 1e1,Training", "not a number"),
        (b"3.5,1 2 3 4,Training", "unknown label"),
        (b"3,1 2 3 4,", "empty usage"),
        (b"3,1 2 3 4,Public  Test", "unknown usage"),
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


@pytest.mark.parametrize(
    "line",
    [
        b'"x,y,3,1 2 3 4,Training',
        b'x"y,z,3,1 2 3 4,Training',
        b'x,y",3,1 2 3 4,Training',
        b'x,",3,1 2 3 4,Training',
        b'"x,y",3,1 2 3 4,Training',
        b'"x"",y,3,1 2 3 4,Training',
        b'"x",y","3","1 2 3 4",Training',
        b'x",y,3,9 9 9 9,Training',
    ],
)
def test_a_stray_quote_in_a_column_that_nobody_reads_is_one(line: bytes):
    good = b'"x",y,0,"1 2 3 4",Training\n'
    read = Read(b"note,more,emotion,pixels,Usage\n" + good + line + b"\n" + good)
    assert [(one.row, one.reason) for one in read.rejected] == [(1, "wrong number of fields")]
    assert sorted(read.faces) == [0, 2]


def test_quoted_cells_are_read_the_fast_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(CsvReader, "_judge", None)
    assert Read(b'note,emotion,pixels,Usage\n"","3","1 2 3 4","PublicTest"\n').faces == {0: (3, 1, [1, 2, 3, 4])}


def test_a_field_too_long_for_the_fast_way_is_read_the_slow_way():
    read = Read(b"emotion,pixels,Usage\n0,1 2 3 4,Training\n0,1 2 3" + b" " * 2000 + b"4,Training\n")
    assert read.faces[1] == (0, 0, [1, 2, 3, 4])


@pytest.mark.parametrize(
    "csv",
    [
        b"emotion,pixels,Usage\n3.0,1 2 3 4,PublicTest\n",
        b"emotion,pixels,Usage\n3.,1 2 3 4,publictest\n",
        b"emotion,pixels,Usage\n3.000000000000000000e+00,1 2 3 4,PUBLIC_TEST\n",
        b"emotion,pixels,Usage\n3,1.0 2.0 3.00 4.0,Public Test\n",
        b"emotion,pixels,Usage\n3,[1. 2. 3. 4.],public-test\n",
        b"emotion,pixels,Usage\n3,[1 2 3 4],PublicTest\n",
        b'emotion,pixels,Usage\n3,"[1, 2, 3, 4]",PublicTest\n',
        b'emotion,pixels,Usage\n3,"[[1, 2], [3, 4]]",PublicTest\n',
        b'emotion,pixels,Usage\n3,"[[1 2]\n [3 4]]",PublicTest\n',
        b'emotion,pixels,Usage\r\n3,"[[1. 2.]\r\n [3. 4.]]",PublicTest\r\n',
        b'emotion,pixels,Usage\n3,"(1, 2, 3, 4)",PublicTest\n',
        b'emotion,pixels,Usage\n3,"1,2,3,4",PublicTest\n',
        b"emotion,pixels,Usage\n3,1;2;3;4,PublicTest\n",
        b"emotion,pixels,Usage\n3,1.00e+00 2.00e+00 3.00e+00 4.00e+00,PublicTest\n",
        b"emotion,pixels,Usage\n3,1 2 3 4,PublicTest,\n",
        b"emotion,pixels,Usage\n3,1 2 3 4,PublicTest,,,\n",
        b"emotion,pixels,Usage,,\n3,1 2 3 4,PublicTest\n",
        b'emotion,pixels,Usage,note\n3,1 2 3 4,PublicTest,"two\nlines"\n',
        b'note,emotion,pixels,Usage\n"two\n\n, and ""more""\r\nlines",3,1 2 3 4,PublicTest',
    ],
)
def test_reads_what_leaves_no_doubt(csv: bytes):
    for chunk in (1, 7, 4096):
        assert Read(csv, chunk).faces == {0: (3, 1, [1, 2, 3, 4])}


def test_empty_cells_behind_every_row_are_read_the_fast_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(CsvReader, "_judge", None)
    csv = b"emotion,pixels,Usage\n3,1 2 3 4,PublicTest,\n3.0,4 3 2 1,publictest,\n"
    assert Read(csv).faces == {0: (3, 1, [1, 2, 3, 4]), 1: (3, 1, [4, 3, 2, 1])}


def test_a_cell_behind_the_last_column_that_is_not_empty_is_one_too_many():
    rows = [b"3,1 2 3 4,PublicTest,\n"] * 3 + [b"3,1 2 3 4,PublicTest,x\n"]
    read = Read(b"emotion,pixels,Usage\n" + b"".join(rows))
    assert [(one.row, one.reason) for one in read.rejected] == [(3, "wrong number of fields")]


@pytest.mark.parametrize(
    ("lines", "reasons"),
    [
        # The quote of the first row is closed by the second's, but what it would swallow is a face.
        (b'"x,3,1 2 3 4,Training\nx",3,1 2 3 4,Training\n', 2),
        (b'x,3,"1 2 3 4,Training\nx,3,1 2 3 4",Training\n', 2),
        (b'x,3,1 2 3 4,"Training\nx,3,1 2 3 4,Training"\n', 2),
        (b'x,"3,1 2 3 4,Training\nx,3",1 2 3 4,Training\n', 2),
        # A label or a Usage holds no line feed; a quote that nobody closes holds none either.
        (b'x,"3\n",1 2 3 4,Training\n', 2),
        (b'"two\nlines,x,3,1 2 3 4,Training\n', 2),
        (b'"two\n' + b"lines\n" * 70 + b'",3,1 2 3 4,Training\n', 72),
    ],
)
def test_a_quote_swallows_no_rows(lines: bytes, reasons: int):
    good = b"x,0,1 2 3 4,Training\n"
    for chunk in (1, 50, 4096):
        read = Read(b"note,emotion,pixels,Usage\n" + good + lines + good, chunk)
        assert sorted(read.faces) == [0, reasons + 1]
        assert {one.reason for one in read.rejected} == {"wrong number of fields"}


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
    with pytest.raises(UserError, match=r"^faces\.csv: ") as refused:
        Read(csv)
    assert sentence in str(refused.value)


faces = st.tuples(st.integers(0, 6), st.lists(st.integers(0, 255), min_size=9, max_size=9), st.sampled_from(USAGES))


@settings(deadline=None)
@given(st.lists(faces, min_size=1, max_size=30), st.integers(1, 2000))
def test_reads_any_faces_in_any_chunk_size(rows: list[tuple[int, list[int], str]], chunk: int):
    csv = "emotion,pixels,Usage\n" + "".join(f"{e},{' '.join(map(str, p))},{u}\n" for e, p, u in rows)
    read = Read(csv.encode(), chunk, reject_constant=False)
    assert read.faces == {n: (e, USAGES.index(u), p) for n, (e, p, u) in enumerate(rows)}


def split_slowly(line: bytes) -> list[bytes] | None:
    """An independent cutting of a line, byte by byte; None where its quotes are not closed."""
    cells, cell, place = [], b"", "before"
    for byte in (line[n : n + 1] for n in range(len(line))):
        blank = byte in (b" ", b"\t")
        if place == "inside":
            cell, place = (cell, "quote") if byte == b'"' else (cell + byte, place)
        elif place == "quote" and byte == b'"':
            cell, place = cell + byte, "inside"
        elif byte == b",":
            cells.append(cell.strip(b" \t"))
            cell, place = b"", "before"
        elif place in ("quote", "after"):
            if not blank:
                return None
            place = "after"
        elif byte == b'"':
            if place != "before":
                return None
            cell, place = b"", "inside"
        else:
            cell, place = cell + byte, place if blank else "bare"
    return None if place == "inside" else [*cells, cell.strip(b" \t")]


def join_slowly(lines: list[bytes], names: list[str]) -> list[bytes]:
    """An independent joining of the lines that are one row."""
    joined = []
    while lines:
        ends = [n for n in range(1, min(64, len(lines))) if lines[n].count(b'"') % 2]
        size = 1
        if lines[0].count(b'"') % 2 and ends and len(names) > 1:
            cells = split_slowly(b"\n".join(lines[: ends[0] + 1]))
            row = dict(zip(names, cells, strict=False)) if cells and len(cells) >= len(names) else {}
            broken = {name for name, cell in row.items() if b"\n" in cell}
            note = row.get("note", b"").replace(b"\t", b" ").replace(b"\r", b"\n").split(b"\n")
            a_face = any(re.search(rb"[0-9]+ +[0-9]+ +[0-9]+ +[0-9]", line) for line in note)
            printed = (
                all(byte in b"0123456789 .[]\n\r\t\v\f" for byte in row.get("pixels", b"")) or "pixels" not in broken
            )
            full = row and not any((cells or [])[len(names) :])
            if full and broken <= {"note", "pixels"} and printed and not ("note" in broken and a_face):
                size = ends[0] + 1
        joined.append(b" ".join(lines[:size]))
        lines = lines[size:]
    return joined


def judge_slowly(line: bytes, names: list[str], width: int) -> tuple[int, int, list[int]] | str:
    """An independent reading of one line: emotion, split and pixels, or the reason why it has none."""
    cells = split_slowly(line) if b'"' in line else [cell.strip(b" \t") for cell in line.split(b",")]
    if cells is None or len(cells) < len(names) or any(cells[len(names) :]):
        return "wrong number of fields"
    row = dict(zip(names, cells, strict=False))
    label = re.fullmatch(rb"([0-6])(\.0*)?", row["emotion"])
    if not label:
        return "unknown label"
    spelled = re.sub(rb"^(public|private)[ _-]test$", rb"\1test", row["Usage"].lower())
    if spelled not in [usage.lower().encode() for usage in USAGES]:
        return "unknown usage" if row["Usage"] else "empty usage"
    text = row["pixels"].strip()
    if text[:1] == b"[" and text[-1:] == b"]" and not re.search(rb"[\[\]]", text[1:-1]):
        text = text[1:-1]
    for mark in (b",", b";"):
        if mark in text and all(len(part.split()) == 1 for part in text.split(mark)):
            text = text.replace(mark, b" ")
            break
        if mark in text:
            break
    tokens = text.split()
    if tokens and all(re.fullmatch(rb".*[0-9]\.0*", token) for token in tokens):
        tokens = [token.rpartition(b".")[0] for token in tokens]
    odd = next((token for token in tokens if not re.fullmatch(rb"-?[0-9]+", token)), None)
    if odd is not None:
        fraction = re.fullmatch(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", odd)
        return "not a whole number" if fraction and float(odd) % 1 else "not a number"
    if any(token.startswith(b"-") or int(token) > 255 for token in tokens):
        return "value outside 0..255"
    if len(tokens) != width:
        return "pixel count"
    usage = [usage.lower() for usage in USAGES].index(spelled.decode())
    return int(label[1]), usage, [int(token) for token in tokens]


def assert_read_right(csv: bytes, read: Read) -> None:
    """Every row is kept or rejected as `judge_slowly` has it, and for the same reason."""
    header, *lines = [line.removesuffix(b"\r") for line in csv.split(b"\n")]
    names = header.decode().split(",")
    judged = [judge_slowly(line, names, read.side**2) for line in join_slowly(lines, names) if line.strip()]
    assert read.count == len(judged)
    assert read.faces == {n: face for n, face in enumerate(judged) if not isinstance(face, str)}
    assert {one.row: one.reason for one in read.rejected} == {n: r for n, r in enumerate(judged) if isinstance(r, str)}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_mutation_is_read_right_or_turned_away(data: st.DataObject):
    """Bytes replaced, put in and taken out anywhere after the first row, quotes and line ends among them."""
    noted = data.draw(st.sampled_from([b"", b"x,", b'"x",', b'"x, y",']))
    q = data.draw(st.sampled_from([b"", b'"']))
    rows = [[b"3", b"1 20 255 0 5 6 77 8 9", b"Training"], [b"0", b"9 8 7 6 5 4 3 2 100", b"PublicTest"]]
    first, second = [noted + b",".join(q + cell + q for cell in row) + b"\n" for row in rows]
    body = bytearray((first + second) * 4)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body)))
        known = st.sampled_from([b" ", b",", b"\n", b"9", b"\r\n", b"-", b'"', b'"', b'""', b'","'])
        new = data.draw(st.one_of(st.binary(max_size=2), known))
        body[at : at + data.draw(st.integers(0, 3))] = new
    csv = (b"note," if noted else b"") + b"emotion,pixels,Usage\n" + first + bytes(body)
    assert_read_right(csv, Read(csv, chunk=data.draw(st.sampled_from([1, 50, 4096])), reject_constant=False))


HEADER, ROW = b"emotion,pixels,Usage\n", b"0,1 2 3 4,Training\n"


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(
        [(HEADER + ROW, b""), (HEADER, b""), (b"pixels", b""), (b"emotion,", b",pixels,Usage\n0,x," + ROW[2:])]
    ),
    st.binary(max_size=400),
)
def test_any_bytes_are_read_or_refused_in_a_sentence(around: tuple[bytes, bytes], junk: bytes):
    try:
        read = Read(around[0] + junk + around[1], chunk=64)  # anything else fails, and so does a row that is lost
    except UserError as refused:
        sentence, _, shown = str(refused).partition(" (it is ")
        assert sentence.startswith("faces.csv: ")
        assert ". " not in sentence
        assert not sentence.endswith(".")
        assert (sentence + shown).isprintable()
    else:
        assert all(one.excerpt.isprintable() for one in read.rejected)


def test_mutated_real_rows(real_csv: Path):
    """Real lines with single bytes changed, put in and taken out, quotes and line feeds among them."""
    with real_csv.open("rb") as file:
        header, *lines = [file.readline() for _ in range(101)]
    dice = random.Random(0)
    mutated = [lines[0]]
    for line in lines[1:]:
        changed = bytearray(line)
        for _ in range(dice.randrange(3)):
            at = dice.randrange(len(changed) - 1)
            new = bytes([dice.choice(b'0123456789 ,.-x\x00\xff"""\n')])
            changed[at : at + dice.randrange(2)] = new * dice.randrange(2)
        mutated.append(bytes(changed))
    csv = header + b"".join(mutated)
    read = Read(csv, reject_constant=False)
    assert_read_right(csv, read)
    assert 20 < len(read.rejected) < 80
    assert len(read.faces) > 20


def test_digests_do_not_depend_on_chunks(sample_csv: Path):
    csv = sample_csv.read_bytes()
    readers = [CsvReader(io.BytesIO(csv), "sample.csv", chunk=chunk) for chunk in (10_000, 1 << 20)]
    small, large = [list(reader.rows()) for reader in readers]
    assert b"".join(part.digests for part in small) == b"".join(part.digests for part in large)
    assert np.array_equal(np.concatenate([p.pixels for p in small]), np.concatenate([p.pixels for p in large]))
    assert readers[0].sha256() == readers[1].sha256()
