"""The data contract all steps share: a folder with one Parquet file per split, and `profile.json`.

| column      | type                         | meaning                                                                |
| ----------- | ---------------------------- | ---------------------------------------------------------------------- |
| `row`       | int32                        | 0-based data row of the source CSV; an augmented face has its parent's |
| `emotion`   | uint8                        | 0..6, see `EMOTIONS`                                                   |
| `pixels`    | fixed_size_binary[side*side] | grey levels 0..255, row-major                                          |
| `technique` | dictionary<string>           | `original`, or the augmentation that made the face                     |
| `in_train`  | bool                         | the same pixels occur among the source's Training rows                 |
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from ferkit.data.emotions import EMOTIONS
from ferkit.errors import UserError

# Arrow reads this when it is imported. mimalloc, its default, keeps what it has freed, and so does the C library when
# blocks of a chunk's size come and go among smaller ones: memory would grow with the rows. Not every
# Arrow has jemalloc; those for Linux do.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc" if sys.platform == "linux" else "system")

import pyarrow as pa
import pyarrow.parquet as pq

SPLITS: Final = ("train", "validation", "test")
USAGE: Final = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
PROFILE: Final = "profile.json"
ROW_GROUP: Final = 4096
READ_AT_A_TIME: Final = 512
"""Faces that are in memory twice where a whole split is read into arrays, or digested."""
DIGEST: Final = 16
"""Bytes of a face's digest."""


@dataclass(frozen=True)
class Faces:
    """Faces of one split, or a chunk of them; all arrays have the same length n.

    Attributes:
        row: int32 (n,), data row of the source CSV, of the parent for an augmented face.
        emotion: uint8 (n,), 0..6.
        pixels: uint8 (n, side, side), grey levels.
        technique: object (n,) of str, `original` or the augmentation's name.
        in_train: bool (n,), the same pixels occur among the source's Training rows.
    """

    row: np.ndarray
    emotion: np.ndarray
    pixels: np.ndarray
    technique: np.ndarray
    in_train: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def side(self) -> int:
        """Height and width of a face in pixels."""
        return self.pixels.shape[1]

    def take(self, which: np.ndarray) -> Faces:
        """The faces at the given indices, or where the given bool mask (n,) is true."""
        return Faces(
            self.row[which], self.emotion[which], self.pixels[which], self.technique[which], self.in_train[which]
        )


def schema(side: int) -> pa.Schema:
    """The Parquet schema of a split whose faces are `side` pixels high and wide."""
    return pa.schema(
        [
            ("row", pa.int32()),
            ("emotion", pa.uint8()),
            ("pixels", pa.binary(side * side)),
            ("technique", pa.dictionary(pa.int8(), pa.string())),
            ("in_train", pa.bool_()),
        ]
    )


def digest_pixels(pixels: np.ndarray) -> bytes:
    """The BLAKE2b digests (`DIGEST` bytes each) of faces, one after the other: equal if and only if the pixels are.

    Args:
        pixels: uint8, faces along the first axis.
    """
    width = math.prod(pixels.shape[1:])
    flat = np.ascontiguousarray(pixels).reshape(-1).data  # a slice of this is made faster than one of an array
    return b"".join(
        [hashlib.blake2b(flat[n : n + width], digest_size=DIGEST).digest() for n in range(0, len(flat), width)]
    )


class ContentDigest:
    """A digest of a set of faces: the same for the same faces in any order, on any machine, in any chunks.

    The BLAKE2b digests (128 bits) of every face's emotion, technique and `digest_pixels`, summed modulo 2**128, with
    their count. (Such sums: Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing", 1997. It tells
    versions of data apart; it is no defence against somebody who forges them.)
    """

    def __init__(self) -> None:
        self._sum = 0
        self._count = 0

    def update(self, faces: Faces, pixel_digests: bytes | None = None) -> None:
        """Adds every face of the chunk; `pixel_digests` spares the work where `digest_pixels` of them is known."""
        digests = digest_pixels(faces.pixels) if pixel_digests is None else pixel_digests
        total = 0
        kinds = list(zip(faces.emotion.tolist(), faces.technique.tolist(), strict=True))
        heads = {kind: b"%d %s %d " % (kind[0], kind[1].encode(), faces.side**2) for kind in set(kinds)}
        for kind, start in zip(kinds, range(0, len(digests), DIGEST), strict=True):
            face = hashlib.blake2b(heads[kind] + digests[start : start + DIGEST], digest_size=DIGEST)
            total += int.from_bytes(face.digest(), "big")
        self._sum = (self._sum + total) % 2**128
        self._count += len(faces)

    def hexdigest(self) -> str:
        """32 hexadecimal characters."""
        return hashlib.blake2b(f"{self._count} {self._sum}".encode(), digest_size=16).hexdigest()


def as_record_batch(faces: Faces) -> pa.RecordBatch:
    """The faces as one Arrow batch of the contract's schema; pixels are not copied."""
    # Made of buffers, for `pa.array` imports pandas, and that takes longer than writing FER2013.
    names: dict[str, int] = {}
    number = [names.setdefault(name, len(names)) for name in faces.technique.tolist()]
    words = [name.encode() for name in names]
    ends = np.cumsum([0, *map(len, words)], dtype=np.int32)
    dictionary = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(words))]

    def column(kind: pa.DataType, values: Any, dtype: type) -> pa.Array:
        return pa.Array.from_buffers(
            kind, len(faces), [None, pa.py_buffer(np.ascontiguousarray(values, dtype=dtype).reshape(-1))]
        )

    columns = [
        column(pa.int32(), faces.row, np.int32),
        column(pa.uint8(), faces.emotion, np.uint8),
        column(pa.binary(faces.side**2), faces.pixels, np.uint8),
        pa.DictionaryArray.from_arrays(
            column(pa.int8(), number, np.int8), pa.Array.from_buffers(pa.string(), len(words), dictionary)
        ),
        column(pa.bool_(), np.packbits(faces.in_train, bitorder="little"), np.uint8),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema(faces.side))


def as_faces(table: pa.Table | pa.RecordBatch) -> Faces:
    """The rows of a table of the contract's schema. One contiguous chunk of pixels is not copied."""
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    width = table.schema.field("pixels").type.byte_width
    side = math.isqrt(width)
    chunks = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
        for chunk in table.column("pixels").chunks
        if len(chunk)
    ]
    flat = np.concatenate(chunks) if len(chunks) > 1 else chunks[0] if chunks else np.empty(0, np.uint8)
    return Faces(
        pixels=flat.reshape(-1, side, side),
        **{
            name: _as_array(table.column(name).combine_chunks()) for name in ("row", "emotion", "technique", "in_train")
        },
    )


class SplitWriter:
    """Writes one split chunk by chunk, in bounded memory, and keeps its counts and digest.

    Use as a context manager. `record()` gives the split's entry of `profile.json`.
    """

    def __init__(self, path: Path, side: int) -> None:
        self._file = pq.ParquetWriter(
            path,
            schema(side),
            compression="none",  # zstd takes 0.4% off FER2013, and then reading it takes ten times as long
            use_dictionary=["technique"],  # pyright: ignore[reportArgumentType]
        )
        self._thread = ThreadPoolExecutor(1, "digest")
        self._digest = ContentDigest()
        self._per_emotion = np.zeros(len(EMOTIONS), np.int64)
        self._in_train = 0

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self._file.close()

    def write(self, faces: Faces, pixel_digests: bytes | None = None) -> None:
        """Appends the faces as row groups of at most `ROW_GROUP` rows; `pixel_digests`: see `ContentDigest.update`."""
        if not len(faces):
            return
        batch = as_record_batch(faces)
        digested = self._thread.submit(self._digest.update, faces, pixel_digests)
        self._file.write_batch(batch, row_group_size=ROW_GROUP)
        digested.result()
        self._per_emotion += np.bincount(faces.emotion, minlength=len(EMOTIONS))
        self._in_train += int(faces.in_train.sum())

    def record(self) -> dict[str, Any]:
        """`{"rows": n, "per_emotion": {name: n}, "in_train": n, "digest": hex}`."""
        return {
            "rows": int(self._per_emotion.sum()),
            "per_emotion": dict(zip(EMOTIONS, self._per_emotion.tolist(), strict=True)),
            "in_train": self._in_train,
            "digest": self._digest.hexdigest(),
        }


@dataclass(frozen=True)
class Profile:
    """What `profile.json` holds.

    Attributes:
        source: `{"csv": its address, "sha256": of the uncompressed CSV, "version": as `locate` found it, "rows": data
            rows in it}`.
        side: height and width of a face in pixels.
        splits: per split, the entry `SplitWriter.record` gives.
        rejected: rows that could not be used, by reason.
        duplicates: what was found and done about identical pixels, by kind.
        balance: what balancing did; empty before it.
    """

    source: dict[str, Any]
    side: int
    splits: dict[str, dict[str, Any]]
    rejected: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, Any] = field(default_factory=dict)
    balance: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The source's address, without secrets."""
        return str(self.source.get("csv", "unknown"))

    @property
    def digest(self) -> str:
        """One digest of all splits: the `data.digest` of tags."""
        joined = " ".join(f"{split}:{self.splits[split]['digest']}" for split in SPLITS)
        return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()


def write_profile(folder: Path, profile: Profile) -> None:
    """Writes `profile.json`, keys sorted, so that equal profiles are equal bytes."""
    (folder / PROFILE).write_text(json.dumps(vars(profile), indent=2, sort_keys=True) + "\n")


def read_profile(folder: Path | str) -> Profile:
    """Reads `profile.json` of a data set folder.

    Raises:
        UserError: the folder is none that `ingest` or `balance` made.
    """
    path = Path(folder) / PROFILE
    if not path.is_file():
        raise UserError(
            f"{folder}: not a data set folder (no {PROFILE} in it); give the output folder of ingest or balance"
        )
    return Profile(**json.loads(path.read_text()))


def split_path(folder: Path | str, split: str) -> Path:
    """Where a split lies in a data set folder."""
    return Path(folder) / f"{split}.parquet"


def read_split(folder: Path | str, split: str) -> Faces:
    """All faces of a split, read into arrays of their final size: 2.3 kB a face of 48x48, and one chunk besides.

    Raises:
        UserError: there is no such split in the folder.
    """
    path = split_path(folder, split)
    if not path.is_file():
        raise UserError(f"{path}: no such split; give the output folder of ingest or balance")
    with _opened(folder, split) as file:
        rows, side = file.metadata.num_rows, math.isqrt(file.schema_arrow.field("pixels").type.byte_width)
    whole = Faces(
        row=np.empty(rows, np.int32),
        emotion=np.empty(rows, np.uint8),
        pixels=np.empty((rows, side, side), np.uint8),
        technique=np.empty(rows, object),
        in_train=np.empty(rows, bool),
    )
    start = 0
    for chunk in read_split_in_chunks(folder, split, READ_AT_A_TIME):
        for name, values in vars(chunk).items():
            getattr(whole, name)[start : start + len(chunk)] = values
        start += len(chunk)
    return whole


def read_split_in_chunks(folder: Path | str, split: str, rows: int = ROW_GROUP) -> Iterator[Faces]:
    """The faces of a split, `rows` at a time but for the last ones, whatever its row groups; in bounded memory."""
    with _opened(folder, split) as file:
        batches: list[pa.RecordBatch] = []
        for batch in file.iter_batches(batch_size=rows, use_threads=False):
            batches.append(batch)
            if sum(map(len, batches)) >= rows:
                table = pa.Table.from_batches(batches)
                yield as_faces(table.slice(0, rows))
                batches = table.slice(rows).to_batches()
        if batches:
            yield as_faces(pa.Table.from_batches(batches))


def read_columns_in_chunks(folder: Path | str, split: str, *columns: str) -> Iterator[tuple[np.ndarray, ...]]:
    """Columns of a split other than `pixels`, in the order asked for, as `Faces` has them; in bounded memory."""
    with _opened(folder, split) as file:
        for batch in file.iter_batches(batch_size=1 << 16, columns=list(columns), use_threads=False):
            yield tuple(_as_array(batch.column(name)) for name in columns)


def read_column(folder: Path | str, split: str, name: str) -> np.ndarray:
    """One column of a split other than `pixels`, as `Faces` has it."""
    chunks = [values for (values,) in read_columns_in_chunks(folder, split, name)]
    return np.concatenate(chunks) if chunks else _as_array(schema(1).empty_table().column(name).combine_chunks())


def _opened(folder: Path | str, split: str) -> pq.ParquetFile:
    # With Arrow's pre_buffer, all that was read of a file is held until its end: memory would grow with the rows.
    # `pq.read_table` imports pandas: 0.2 s and 50 MB. Arrow's threads, which the callers do without, gain nothing where
    # one column is nearly all, and each keeps some memory of its own.
    return pq.ParquetFile(split_path(folder, split), pre_buffer=False, buffer_size=1 << 20)


def _as_array(column: pa.Array) -> np.ndarray:
    """A column's values without a copy where that can be; of a dictionary, objects that are one `str` for each word."""
    # From buffers, as `as_record_batch` does it: `to_numpy` imports pandas too.
    if isinstance(column, pa.DictionaryArray):
        return np.array(column.dictionary.to_pylist(), object)[_as_array(column.indices)]
    values = column.buffers()[1]
    if pa.types.is_boolean(column.type):
        bits = np.unpackbits(np.frombuffer(values, np.uint8), bitorder="little")
        return bits[column.offset : column.offset + len(column)].astype(bool)
    return np.frombuffer(values, str(column.type), len(column), column.offset * column.type.byte_width)
