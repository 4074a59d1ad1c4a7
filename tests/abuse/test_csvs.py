"""CSVs, mutated and packed: every row is read right or rejected with its number, or there is one sentence."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.ingest.ingest import ingest_csv
from components.ingest.parameters import Ingest
from ferkit.data import SPLITS, USAGE, read_split
from ferkit.data.source import read_pixels
from ferkit.errors import UserError
from tests.abuse.sentences import assert_one_sentence
from tests.ferkit.data.source.test_rows import Read, assert_read_right

pytestmark = pytest.mark.abuse

SIDE = 4
PIECES = [
    *(
        b'"',
        b'"',
        b'""',
        b",",
        b";",
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"\t",
        b"\x00",
        b"\xff",
        b"\xc3\xa9",
        b"[",
        b"]",
        b"...",
        b"'",
    ),
    *(
        b"-1",
        b"256",
        b"3.0",
        b"0.5",
        b"1e2",
        b"x",
        b"nan",
        b"=1+1",
        b"Training",
        b"training",
        b"PublicTest,",
        b'","',
        b'"\n"',
    ),
]


def draw_face(dice: random.Random) -> list[int]:
    return [dice.randrange(256) for _ in range(SIDE * SIDE)]


def write_rows(dice: random.Random, count: int) -> tuple[str, list[str]]:
    """Header and rows of a CSV in a form that people have; the first 21 have every label in every split."""
    noted = dice.random() < 0.4
    quote = dice.choice(["", '"'])
    between = dice.choice([" ", " ", " ", ", ", ",", ";"])
    if "," in between:
        quote = '"'
    around = dice.choice([("", ""), ("", ""), ("[", "]")])
    number = dice.choice([str, str, lambda level: f"{level}.0"])
    spelled = dice.choice([str, str.lower, str.upper])
    label = dice.choice([str, lambda emotion: f"{emotion}.0"])
    end = dice.choice(["", "", ","])
    notes = ["", "x", '"x, y"', '"two\nlines"', '"a ""b"" c"']
    rows = []
    for turn in range(count):
        emotion, usage = turn % 7, list(USAGE)[turn // 7 % 3] if turn < 21 else dice.choice(list(USAGE))
        pixels = around[0] + between.join(map(number, draw_face(dice))) + around[1]
        cells = [f"{quote}{cell}{quote}" for cell in (label(emotion), pixels, spelled(usage))]
        rows.append(",".join([dice.choice(notes)] * noted + cells) + end)
    return "note," * noted + "emotion,pixels,Usage", rows


def mutate(body: bytes, dice: random.Random, most: int = 6) -> bytes:
    changed = bytearray(body)
    for _ in range(dice.randint(1, most)):
        at = dice.randrange(len(changed) + 1)
        changed[at : at + dice.choice([0, 0, 1, 1, 3, 40])] = dice.choice(PIECES) * dice.choice([1, 1, 1, 3])
    return bytes(changed)


@pytest.mark.timeout(900)
def test_a_mutated_csv_is_read_row_by_row_as_an_independent_reader_reads_it(attempts) -> None:
    tried = attempts("CSVs, row by row", 1200)
    for number, dice in tried:
        header, rows = write_rows(dice, dice.randint(2, 30))
        start = f"{header}\n{rows[0]}\n".encode()
        csv = start + mutate("\n".join(rows[1:]).encode(), dice)
        try:
            read = Read(csv, chunk=dice.choice([1, 64, 1000, 1 << 20]), reject_constant=False)
            assert_read_right(csv, read)
        except (AssertionError, UserError) as wrong:
            raise AssertionError(f"CSV {number}: {wrong}\n{csv!r}"[:4000]) from wrong
        tried.ended("with rows turned away" if read.rejected else "whole")


@pytest.mark.timeout(900)
def test_a_csv_is_ingested_whole_or_refused_in_one_sentence_and_nothing_is_left(attempts, tmp_path: Path) -> None:
    tried = attempts("CSVs, ingested", 500)
    for number, dice in tried:
        header, rows = write_rows(dice, 63)
        body = "\n".join([header, *rows]).encode()
        path, output = tmp_path / "faces.csv", tmp_path / "faces"
        path.write_bytes(mutate(body, dice, 30) if dice.random() < 0.8 else body)
        parameters = Ingest.parse(
            {"max_rejected_fraction": dice.choice([0, 0.1, 1]), "split_by": dice.choice(["usage", "seed"])}
        )
        try:
            profile = ingest_csv(str(path), output, parameters)
        except UserError as refusal:
            assert_one_sentence(refusal, number)
            assert sorted(tmp_path.iterdir()) == [path], number
            tried.ended("refused")
            continue
        kept = {split: read_split(output, split) for split in SPLITS}
        dropped = sum(profile.duplicates["dropped"].values())
        assert sum(map(len, kept.values())) + dropped + sum(profile.rejected.values()) == profile.source["rows"], number
        rejected = (output / "rejected.csv").read_text().splitlines()[1:]
        assert len(rejected) == sum(profile.rejected.values())
        assert all(line.isprintable() for line in rejected)
        assert all(faces.pixels.shape[1:] == (profile.side,) * 2 for faces in kept.values())
        shutil.rmtree(output)
        tried.ended("ingested")


def pack(csv: bytes, dice: random.Random) -> bytes:
    """In an archive of some kind, alone or among others."""
    members = {"README.txt": b"faces\n", "fer.csv": csv, "d/test.csv": b"pixels\n1 2 3 4\n"}
    names = [name for name in members if name == "fer.csv" or dice.random() < 0.4]
    dice.shuffle(names)
    kind, file = dice.choice(["gz", "zip", "tar", "tar.gz"]), io.BytesIO()
    if kind == "gz":
        return gzip.compress(csv, mtime=0)
    if kind == "zip":
        with zipfile.ZipFile(file, "w", dice.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name), members[name], zipfile.ZIP_DEFLATED)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w:gz" if kind == "tar.gz" else "w") as archive:
        for name in names + ["fer.csv"] * dice.randrange(2):
            info = tarfile.TarInfo(name)
            info.size = len(members[name])
            archive.addfile(info, io.BytesIO(members[name]))
    return file.getvalue()


@pytest.mark.timeout(900)
def test_a_damaged_archive_yields_its_rows_or_one_sentence(attempts, tmp_path: Path) -> None:
    tried = attempts("archives", 500)
    path = tmp_path / "faces.bin"
    for number, dice in tried:
        header, rows = write_rows(dice, 30)
        packed = bytearray(pack("\n".join([header, *rows]).encode(), dice))
        way = dice.randrange(4)
        if way == 0:
            del packed[dice.randrange(len(packed)) :]
        elif way < 3:
            for _ in range(dice.choice([1, 1, 5, 50])):
                packed[dice.randrange(len(packed))] = dice.randrange(256)
        path.write_bytes(packed)
        asked = dice.choice(["", "", "#fer.csv", "#test.csv", "#none.csv", "#"])
        try:
            faces = list(read_pixels(f"{path}{asked}"))
        except UserError as refusal:
            assert_one_sentence(refusal, number)
            tried.ended("refused")
            continue
        except Exception as error:
            raise AssertionError(f"archive {number}: {type(error).__name__}: {error}"[:2000]) from error
        assert all(pixels.dtype == np.uint8 for _, pixels in faces)
        tried.ended("read")
