"""Splits as Parquet files: written chunk by chunk, read whole, in chunks, or by column, in bounded memory; checked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ferkit.data.dataset import SPLITS, read_profile, split_path
from ferkit.data.faces import EMOTIONS, ContentDigest, Faces, as_array, as_faces, as_record_batch, schema
from ferkit.errors import UserError

ROW_GROUP: Final = 4096
READ_AT_A_TIME: Final = 512
"""Faces that are in memory twice where a whole split is read into arrays, or digested."""


class SplitWriter:
    """Writes one split chunk by chunk, in bounded memory, and keeps its counts and digest.

    Use as a context manager. `record()` returns the split's entry of `profile.json`.
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


def read_split(folder: Path | str, split: str) -> Faces:
    """All faces of a split, read into arrays of their final size: 2.3 kB a face of 48x48, and one chunk besides.

    Raises:
        UserError: there is no such split in the folder.
    """
    path = split_path(folder, split)
    if not path.is_file():
        raise UserError(f"{path}: no such split; use the output folder of ingest or balance")
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
    """Columns of a split other than `pixels`, in the order of `columns`, as `Faces` has them; in bounded memory."""
    with _opened(folder, split) as file:
        for batch in file.iter_batches(batch_size=1 << 16, columns=list(columns), use_threads=False):
            yield tuple(as_array(batch.column(name)) for name in columns)


def read_column(folder: Path | str, split: str, name: str) -> np.ndarray:
    """One column of a split other than `pixels`, as `Faces` has it."""
    chunks = [values for (values,) in read_columns_in_chunks(folder, split, name)]
    return np.concatenate(chunks) if chunks else as_array(schema(1).empty_table().column(name).combine_chunks())


def _opened(folder: Path | str, split: str) -> pq.ParquetFile:
    # With Arrow's pre_buffer, all that was read of a file is held until its end: memory would grow with the rows.
    # `pq.read_table` imports pandas: 0.2 s and 50 MB. Arrow's threads, which the callers do without, gain nothing where
    # one column is nearly all, and each keeps some memory of its own.
    path = split_path(folder, split)
    try:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except pa.ArrowInvalid as error:
        raise UserError(f"{_not_whole(path, error)}; make the data set again") from None


def _not_whole(path: Path, error: Exception) -> str:
    return f"{path}: no whole Parquet file ({' '.join(str(error).split())[:200]})"


def find_damage(folder: Path | str) -> str:
    """What is wrong with a data set folder; empty for a whole one.

    Reads the profile and the footers, a few milliseconds whatever the number of faces: a file that was cut, emptied or
    replaced is found; a changed byte in the midst of one is not.
    """
    try:
        profile = read_profile(folder)
    except UserError as error:
        return str(error)
    for split in SPLITS:
        path = split_path(folder, split)
        try:
            rows = pq.read_metadata(path).num_rows
        except (pa.ArrowInvalid, OSError) as error:
            return _not_whole(path, error)
        if rows != profile.splits.get(split, {}).get("rows"):
            return f"{path}: has {rows} rows, not as many as its profile says"
    return ""
