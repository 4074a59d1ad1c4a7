"""What the pictures show, gathered from a data set folder in one pass over each split, a chunk at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.faces import EMOTIONS, SPLITS, Faces, read_profile, read_split_in_chunks, split_path
from components.faces.dataset import DIGEST, digest_pixels
from components.profile.near_duplicates import hash_faces

THUMBNAILS = 12
"""Faces of each emotion that are kept to be shown."""

ORIGINAL = "original"


@dataclass(frozen=True)
class Measured:
    """What was measured of all faces of a data set, in the order train, validation, test.

    Attributes:
        split: uint8 (n,), position in `SPLITS`.
        emotion: uint8 (n,).
        row: int32 (n,), data row of the source.
        brightness: float32 (n,), mean grey level of each face.
        contrast: float32 (n,), standard deviation of each face's grey levels.
        phash: uint64 (n,), perceptual hash.
        exact: uint64 (n,), hash of the pixels: equal for identical faces.
        mean_face: float64 (7, side, side), of the training faces of each emotion.
        thumbnails: per emotion, uint8 (k, side, side): training faces, evenly spaced over the split.
    """

    split: np.ndarray
    emotion: np.ndarray
    row: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    phash: np.ndarray
    exact: np.ndarray
    mean_face: np.ndarray
    thumbnails: dict[str, np.ndarray]


def measure_faces(folder: Path | str) -> Measured:
    """Measures every face of the folder; hashing them takes nearly all of the time (about 0.15 ms a face)."""
    profile = read_profile(folder)
    sums = np.zeros((len(EMOTIONS), profile.side, profile.side), np.int64)
    counts = np.zeros(len(EMOTIONS), np.int64)
    thumbnails: dict[str, list[np.ndarray]] = {name: [] for name in EMOTIONS}
    columns: dict[str, list[np.ndarray]] = {}
    for number, split in enumerate(SPLITS):
        expected = profile.splits[split]["per_emotion"]
        for chunk in read_split_in_chunks(folder, split):
            if split == "train":
                for label, name in enumerate(EMOTIONS):
                    members = chunk.pixels[chunk.emotion == label]
                    every = max(1, expected[name] // THUMBNAILS)
                    thumbnails[name] += [face.copy() for face in members[-int(counts[label]) % every :: every]]
                    sums[label] += members.sum(axis=0, dtype=np.int64)
                    counts[label] += len(members)
            for name, values in _measure_chunk(chunk, number).items():
                columns.setdefault(name, []).append(values)
    return Measured(
        **{name: np.concatenate(values) for name, values in columns.items()},
        mean_face=sums / np.maximum(counts, 1)[:, None, None],
        thumbnails={name: np.array(shown[:THUMBNAILS], np.uint8) for name, shown in thumbnails.items()},
    )


def _measure_chunk(chunk: Faces, split: int) -> dict[str, np.ndarray]:
    flat = chunk.pixels.reshape(len(chunk), -1)
    return {
        "split": np.full(len(chunk), split, np.uint8),
        "emotion": chunk.emotion,
        "row": chunk.row,
        "brightness": flat.mean(axis=1, dtype=np.float32),
        "contrast": flat.std(axis=1, dtype=np.float32),
        "phash": hash_faces(chunk.pixels),
        "exact": np.frombuffer(digest_pixels(chunk.pixels), "<u8")[:: DIGEST // 8],
    }


@dataclass(frozen=True)
class Augmented:
    """One training face and what each technique made of it; `faces` maps a technique's name to uint8 (side, side)."""

    emotion: str
    faces: dict[str, np.ndarray]


def pick_augmented(folder: Path | str, parents: int = 3) -> list[Augmented]:
    """Training faces of a balanced folder of which the most techniques made something; of several emotions if possible.

    Empty where nothing was augmented.
    """
    table = pq.read_table(split_path(folder, "train"), columns=["row", "emotion", "technique"])
    row, emotion = table.column("row").to_numpy(), table.column("emotion").to_numpy()
    technique = table.column("technique").cast(pa.string()).combine_chunks().dictionary_encode()
    names, code = technique.dictionary.to_pylist(), technique.indices.to_numpy()
    if len(names) < 2:
        return []
    pairs = np.unique(np.stack([row.astype(np.int64), code.astype(np.int64)], axis=1), axis=0)
    rows, kinds = np.unique(pairs[:, 0], return_counts=True)
    label = np.zeros(int(rows.max()) + 1, np.uint8)
    label[row] = emotion
    best = rows[kinds == kinds.max()]
    _, one_of_each = np.unique(label[best], return_index=True)
    chosen = list(dict.fromkeys([*best[one_of_each].tolist(), *best[:parents].tolist()]))[:parents]
    found: dict[int, dict[str, np.ndarray]] = {one: {} for one in chosen}
    for chunk in read_split_in_chunks(folder, "train"):
        for at in np.flatnonzero(np.isin(chunk.row, chosen)).tolist():
            found[int(chunk.row[at])].setdefault(chunk.technique[at], chunk.pixels[at].copy())
    return [Augmented(EMOTIONS[label[one]], found[one]) for one in chosen]
