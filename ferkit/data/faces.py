"""Faces in memory and as Arrow's record batches, and their digests.

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
import math
import os
import sys
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

# Arrow reads this when it is imported. mimalloc, its default, keeps what it has freed, and so does the C library when
# blocks of a chunk's size come and go among smaller ones: memory would grow with the rows. Not every
# Arrow has jemalloc; those for Linux do.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc" if sys.platform == "linux" else "system")

import pyarrow as pa

EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven expressions of FER2013: `EMOTIONS[label]` is the name of `label`, 0..6."""

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
        """The faces at these indices, or where a bool mask (n,) is true."""
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
        **{name: as_array(table.column(name).combine_chunks()) for name in ("row", "emotion", "technique", "in_train")},
    )


def as_array(column: pa.Array) -> np.ndarray:
    """A column's values without a copy where that can be; of a dictionary, objects that are one `str` for each word."""
    # From buffers, as `as_record_batch` does it: `to_numpy` imports pandas too.
    if isinstance(column, pa.DictionaryArray):
        return np.array(column.dictionary.to_pylist(), object)[as_array(column.indices)]
    values = column.buffers()[1]
    if pa.types.is_boolean(column.type):
        bits = np.unpackbits(np.frombuffer(values, np.uint8), bitorder="little")
        return bits[column.offset : column.offset + len(column)].astype(bool)
    return np.frombuffer(values, str(column.type), len(column), column.offset * column.type.byte_width)
