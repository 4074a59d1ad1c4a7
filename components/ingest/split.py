"""Splitting the faces of a CSV that has no Usage."""

from __future__ import annotations

import hashlib

import numpy as np

from components.ingest.duplicates import TEST, VALIDATION
from ferkit.data import DIGEST, EMOTIONS


def split_by_seed(
    group: np.ndarray, digests: bytes | bytearray, emotion: np.ndarray, validation: float, test: float, seed: int
) -> np.ndarray:
    """A stratified split that keeps identical images on one side, the same on every machine.

    Within each emotion the images (one a group of identical rows, with the emotion most of them carry, of tied ones
    the first in `EMOTIONS`) are put in the order of a hash of seed and pixels; the first go to test, the next to
    validation, the rest to train. So the order of rows does not matter.

    Args:
        group: int32 (n,), equal for identical pixels.
        digests: `DIGEST` bytes a row, of its pixels.
        emotion: uint8 (n,), 0..6.
        validation: fraction of each emotion's images, 0..1.
        test: likewise.
        seed: which split, of all that there are.

    Returns:
        uint8 (n,), index in `SPLITS`.
    """
    _, first = np.unique(group, return_index=True)
    label = _label_images(group, emotion, first)
    key = np.frombuffer(b"".join(_hash(seed, digests[n * DIGEST : (n + 1) * DIGEST]) for n in first.tolist()), ">u8")
    side = np.zeros(len(first), np.uint8)
    for one in range(len(EMOTIONS)):
        images = np.flatnonzero(label == one)
        images = images[np.argsort(key[images], kind="stable")]
        for_test = round(test * len(images))
        for_validation = round(validation * len(images))
        side[images[:for_test]] = TEST
        side[images[for_test : for_test + for_validation]] = VALIDATION
    return side[group]


def _label_images(group: np.ndarray, emotion: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The label most rows of each group carry; `first` has a row of each."""
    label = emotion[first]
    conflicting = np.unique(group[emotion != label[group]])
    rows = np.flatnonzero(np.isin(group, conflicting))
    votes = np.zeros((len(conflicting), len(EMOTIONS)), np.int64)
    np.add.at(votes, (np.searchsorted(conflicting, group[rows]), emotion[rows]), 1)
    label[conflicting] = votes.argmax(axis=1)
    return label


def _hash(seed: int, digest: bytes | bytearray) -> bytes:
    return hashlib.blake2b(b"%d " % seed + digest, digest_size=8).digest()
