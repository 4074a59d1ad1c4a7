"""What the pictures show, gathered from a data set folder a chunk at a time: train is read twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.profile.near_duplicates import hash_faces
from components.profile.typical import StandardisedSums, rank_training_faces
from ferkit.data import DIGEST, EMOTIONS, SPLITS, Faces, digest_pixels, read_column, read_profile, read_split_in_chunks

THUMBNAILS = 12
"""Faces of each emotion that are kept to be shown."""

ORIGINAL = "original"

ALIKE = 12
"""Faces whose perceptual hashes differ in at most this many of 64 bits are not shown beside each other."""


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
        typical: float32, of each training face (the first ones): how much it looks like its emotion; see `typical.py`.
        most_typical: per emotion that has training faces, uint8 (side, side).
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
    typical: np.ndarray
    most_typical: dict[str, np.ndarray]


def measure_faces(folder: Path | str) -> Measured:
    """Measures every face of the folder; hashing them takes nearly all of the time (about 0.15 ms a face)."""
    profile = read_profile(folder)
    sums = np.zeros((len(EMOTIONS), profile.side, profile.side), np.int64)
    counts = np.zeros(len(EMOTIONS), np.int64)
    thumbnails: dict[str, list[np.ndarray]] = {name: [] for name in EMOTIONS}
    standardised = StandardisedSums(profile.side)
    columns: dict[str, list[np.ndarray]] = {}
    for number, split in enumerate(SPLITS):
        expected = profile.splits[split]["per_emotion"]
        for chunk in read_split_in_chunks(folder, split):
            if split == "train":
                standardised.add(chunk)
                for label, name in enumerate(EMOTIONS):
                    members = chunk.pixels[chunk.emotion == label]
                    every = max(1, expected[name] // THUMBNAILS)
                    thumbnails[name] += [face.copy() for face in members[-int(counts[label]) % every :: every]]
                    sums[label] += members.sum(axis=0, dtype=np.int64)
                    counts[label] += len(members)
            for name, values in _measure_chunk(chunk, number).items():
                columns.setdefault(name, []).append(values)
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    train = joined["split"] == SPLITS.index("train")
    typical, most_typical = rank_training_faces(
        folder, standardised.templates(), *(joined[name][train] for name in ("emotion", "brightness", "contrast"))
    )
    return Measured(
        **joined,
        mean_face=sums / np.maximum(counts, 1)[:, None, None],
        thumbnails={name: np.array(shown[:THUMBNAILS], np.uint8) for name, shown in thumbnails.items()},
        typical=typical,
        most_typical=most_typical,
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
    """Training faces of one emotion and what techniques made of them.

    Attributes:
        emotion: its name.
        pairs: by technique, uint8 (2, side, side): a face, and what the technique made of it.
    """

    emotion: str
    pairs: dict[str, np.ndarray]


def pick_augmented(folder: Path | str, measured: Measured) -> list[Augmented]:
    """For each emotion and technique of a balanced folder, the most typical face the technique made something of.

    An emotion shows faces that are not alike, as long has some. Emotions of which nothing was made are left out;
    empty where nothing was made at all.

    Args:
        folder: data set folder of `balance`.
        measured: the faces it was made from.
    """
    row, emotion, technique = (read_column(folder, "train", name) for name in ("row", "emotion", "technique"))
    made_by = {name: technique == name for name in sorted(set(technique.tolist()))}
    trained, phash = measured.row[: len(measured.typical)], measured.phash
    place = np.zeros(max(int(row.max(initial=0)), int(trained.max(initial=0))) + 1, np.int64)
    place[trained] = np.arange(len(trained))
    chosen: dict[tuple[int, str], int] = {}
    for label in range(len(EMOTIONS)):
        shown: list[int] = []
        for name, made in made_by.items():
            parents = place[np.unique(row[(emotion == label) & made])]
            if name != ORIGINAL and len(parents):
                unlike = [np.bitwise_count(phash[parents] ^ phash[one]) > ALIKE for one in shown]
                others = parents[np.logical_and.reduce(unlike)] if unlike else parents
                parents = others if len(others) else parents
                shown.append(int(parents[measured.typical[parents].argmax()]))
                chosen[label, name] = int(trained[shown[-1]])
    found: dict[int, dict[str, np.ndarray]] = {one: {} for one in chosen.values()}
    for chunk in read_split_in_chunks(folder, "train"):
        for at in np.flatnonzero(np.isin(chunk.row, list(found))).tolist():
            found[int(chunk.row[at])].setdefault(chunk.technique[at], chunk.pixels[at].copy())
    pairs: dict[int, dict[str, np.ndarray]] = {}
    for (label, name), one in chosen.items():
        pairs.setdefault(label, {})[name] = np.stack([found[one][ORIGINAL], found[one][name]])
    return [Augmented(EMOTIONS[label], made) for label, made in pairs.items()]
