"""Identical pixels: what there is of them within and across splits, and what leaves train for it.

The rule of `drop_from_train`: a training row whose pixels occur in validation or test leaves train. Of those that are
left, rows with the same pixels are kept once: the first row that carries the label most of them carry; where two labels
tie, none is kept, for nothing says which is right. Validation and test keep all their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ferkit.data import DIGEST, EMOTIONS, SPLITS

TRAIN, VALIDATION, TEST = range(3)

HELD_OUT = "in validation or test"
REPEAT = "repeats a training row"
CONFLICT = "repeats with conflicting labels"


@dataclass(frozen=True)
class Duplicates:
    """Which of n rows have the same pixels.

    Attributes:
        group: int32 (n,), rows with equal pixels have equal numbers 0..groups-1.
        in_train: bool (n,), the same pixels occur in train.
        found: counts for people, JSON types; see docs/data.md.
    """

    group: np.ndarray
    in_train: np.ndarray
    found: dict[str, Any]


def group_identical(digests: bytes | bytearray) -> np.ndarray:
    """Numbers the distinct digests: int32 (n,), equal for equal digests, 0..groups-1 in no meaningful order."""
    pairs = np.frombuffer(digests, np.uint64).reshape(-1, DIGEST // 8)
    order = np.lexsort(tuple(pairs.T))
    new = np.zeros(len(pairs), bool)
    for column in pairs.T:
        ordered = column[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    group = np.empty(len(pairs), np.int32)
    group[order] = np.cumsum(new, dtype=np.int32)
    return group


def find_duplicates(group: np.ndarray, emotion: np.ndarray, split: np.ndarray) -> Duplicates:
    """Counts identical pixels within and across splits, and of each count those whose labels differ there.

    Args:
        group: int32 (n,), see `group_identical`.
        emotion: uint8 (n,).
        split: uint8 (n,), index in `SPLITS`.
    """
    groups = int(group.max()) + 1 if len(group) else 0
    in_split = np.empty((len(SPLITS), groups), np.int32)
    labels = np.empty((len(SPLITS), groups), np.uint8)  # those an image carries in a split, a bit each
    for number in range(len(SPLITS)):
        here = split == number
        in_split[number] = np.bincount(group[here], minlength=groups)
        carried = np.zeros((groups, len(EMOTIONS)), bool)
        carried[group[here], emotion[here]] = True
        labels[number] = np.packbits(carried, axis=1).ravel()
    occurs = in_split > 0
    repeating = in_split - occurs
    conflicting = _several(np.bitwise_or.reduce(labels))
    both = {
        f"{SPLITS[a]}_{SPLITS[b]}": (occurs[a] & occurs[b], labels[a] | labels[b])
        for a, b in ((TRAIN, VALIDATION), (TRAIN, TEST), (VALIDATION, TEST))
    }
    found = {
        "rows_repeating_another": len(group) - groups,
        "within": {name: int(repeating[n].sum()) for n, name in enumerate(SPLITS)},
        "across": {pair: int(images.sum()) for pair, (images, _) in both.items()},
        "conflicting_labels": {
            "images": int(conflicting.sum()),
            "rows": int(conflicting[group].sum()),
            "within": {name: int(repeating[n][_several(labels[n])].sum()) for n, name in enumerate(SPLITS)},
            "across": {pair: int((images & _several(carried)).sum()) for pair, (images, carried) in both.items()},
        },
    }
    return Duplicates(group, occurs[TRAIN][group], found)


def _several(labels: np.ndarray) -> np.ndarray:
    """Where more than one bit is set."""
    return np.bitwise_count(labels) > 1


def choose_dropped(group: np.ndarray, emotion: np.ndarray, split: np.ndarray) -> dict[str, np.ndarray]:
    """The rows that leave train, by reason: bool (n,) each, disjoint. See the module's rule.

    Args: as `find_duplicates`; rows stand in the CSV's order.
    """
    groups = int(group.max()) + 1 if len(group) else 0
    train = split == TRAIN
    held_out = np.bincount(group[~train], minlength=groups) > 0
    left = train & ~held_out[group]

    repeated = np.flatnonzero(left & (np.bincount(group[left], minlength=groups) > 1)[group])
    image = np.unique(group[repeated], return_inverse=True)[1]  # numbers 0.. of the few groups that matter
    votes = np.zeros((image.max(initial=-1) + 1, len(EMOTIONS)), np.int64)
    np.add.at(votes, (image, emotion[repeated]), 1)
    most = votes.max(axis=1)
    tied = ((votes == most[:, None]).sum(axis=1) > 1)[image]

    undecided, kept = np.zeros(len(group), bool), left.copy()
    undecided[repeated[tied]] = True
    kept[repeated] = False
    eligible = ~tied & (emotion[repeated] == votes.argmax(axis=1)[image])
    first = np.unique(image[eligible], return_index=True)[1]
    kept[repeated[eligible][first]] = True
    return {HELD_OUT: train & ~left, CONFLICT: undecided, REPEAT: left & ~kept & ~undecided}
