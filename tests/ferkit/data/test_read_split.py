"""A split is read whole in little more memory than its pixels take, and in columns and chunks to the same values."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ferkit.data import Faces, SplitWriter, read_column, read_split, read_split_in_chunks, split_path
from ferkit.errors import UserError
from ferkit.registry.fingerprints import digest_training_faces

COLUMNS = ("row", "emotion", "technique", "in_train")


def write_split(folder: Path, number: int, side: int = 6) -> Faces:
    """A training split of random faces: three techniques, which come in another order in each chunk."""
    rng = np.random.default_rng(number)
    faces = Faces(
        row=np.arange(number, dtype=np.int32),
        emotion=rng.integers(0, 7, number).astype(np.uint8),
        pixels=rng.integers(0, 256, (number, side, side), dtype=np.uint8),
        technique=np.array(["original", "flip", "mask"], object)[rng.integers(0, 3, number)],
        in_train=rng.integers(0, 2, number).astype(bool),
    )
    with SplitWriter(split_path(folder, "train"), side) as writer:
        for start in range(0, number, 3000):
            writer.write(faces.take(np.arange(start, min(start + 3000, number))))
    return faces


def test_what_is_read_is_what_was_written_whole_in_chunks_and_by_column(tmp_path: Path) -> None:
    written = write_split(tmp_path, 7_001)
    read = read_split(tmp_path, "train")
    chunks = list(read_split_in_chunks(tmp_path, "train", 999))
    assert [len(chunk) for chunk in chunks] == [*[999] * 7, 8]
    for name in (*COLUMNS, "pixels"):
        values = getattr(written, name)
        assert getattr(read, name).dtype == values.dtype
        np.testing.assert_array_equal(getattr(read, name), values)
        np.testing.assert_array_equal(np.concatenate([getattr(chunk, name) for chunk in chunks]), values)
    for name in COLUMNS:
        np.testing.assert_array_equal(read_column(tmp_path, "train", name), getattr(written, name))
    table = pq.read_table(split_path(tmp_path, "train"))  # Arrow's own reading of the same file
    assert table.column("technique").to_pylist() == written.technique.tolist()
    assert table.column("in_train").to_pylist() == written.in_train.tolist()


def test_an_empty_split_has_arrays_of_no_faces(tmp_path: Path) -> None:
    write_split(tmp_path, 0)
    read = read_split(tmp_path, "train")
    assert read.pixels.shape == (0, 6, 6)
    assert [len(getattr(read, name)) for name in COLUMNS] == [len(read_column(tmp_path, "train", n)) for n in COLUMNS]
    assert list(read_split_in_chunks(tmp_path, "train")) == []


def test_training_faces_are_digested_where_augmented_ones_lie_in_long_runs_between_them(tmp_path: Path) -> None:
    """As `balance` writes them: some of the pieces that are read have not one original face."""
    faces = write_split(tmp_path, 5_000)
    technique = np.full(5_000, "flip", object)
    technique[1_900:2_000] = technique[4_990:] = "original"
    with SplitWriter(split_path(tmp_path, "train"), 6) as writer:
        writer.write(Faces(faces.row, faces.emotion, faces.pixels, technique, faces.in_train))
    expected = [hashlib.blake2b(face, digest_size=16).digest()[:8] for face in faces.pixels[technique == "original"]]
    digests = digest_training_faces(tmp_path)
    assert sorted(digests.tolist()) == digests.tolist() == sorted(int.from_bytes(one, "little") for one in expected)


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.parquet: no such split; use the output folder of ingest"):
        read_split(tmp_path, "train")


GROWTH = """
import sys
from pathlib import Path
from ferkit.data import read_split
from ferkit.registry.fingerprints import digest_training_faces
def peak():  # getrusage's has the parent's in it
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
before = peak()
{}
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize(
    ("statement", "least", "most"),
    [("faces = read_split(sys.argv[1], 'train')", 1.0, 1.4), ("digest_training_faces(Path(sys.argv[1]))", 0.0, 0.6)],
)
def test_reading_a_split_takes_its_pixels_once_and_digesting_it_a_few_chunks(
    statement: str, least: float, most: float, tmp_path: Path
) -> None:
    """80 MB of pixels; what stands above them is a few chunks, Arrow's libraries, and 14 bytes a face."""
    pixels = write_split(tmp_path, 35_000, 48).pixels.nbytes
    code = GROWTH.format(statement)
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], check=True, capture_output=True, text=True)
    assert least * pixels <= int(ran.stdout) < most * pixels
