"""Faces that look alike although their pixels differ: recompressed, cropped a little, brightened.

A perceptual hash (ImageHash's `phash`: the signs of the 64 lowest frequencies of a cosine transform, against their
median) gives near-equal pictures near-equal 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image

NEAR = 4
"""Hashes that differ in at most this many of 64 bits are of near-duplicates. (`phash` always has as many ones as zeros,
so distances are even. Of FER2013's pairs at distance 4, the 32 looked at were all of the same photograph.)"""

BANDS = NEAR + 1
"""Two hashes that differ in at most 4 bits are equal in at least one of 5 bands: only such pairs are compared."""

BAND_BITS = 13

PAIRS_AT_A_TIME = 1 << 20


def hash_faces(pixels: np.ndarray) -> np.ndarray:
    """The perceptual hashes, uint64 (n,), of faces uint8 (n, side, side)."""
    bits = np.array([imagehash.phash(Image.fromarray(face)).hash.ravel() for face in pixels], bool)
    return np.packbits(bits.reshape(len(pixels), -1), axis=1).view(">u8").astype(np.uint64).ravel()


@dataclass(frozen=True)
class NearPairs:
    """Pairs of faces with near-equal hashes; `first` < `second`, positions in the array of hashes, int64 (m,)."""

    first: np.ndarray
    second: np.ndarray
    bits: np.ndarray


def find_near_pairs(hashes: np.ndarray) -> NearPairs:
    """All pairs whose hashes differ in at most `NEAR` bits; equal hashes included.

    Faces are sorted by each band of their hash in turn, and compared only with those that share it: where the bands'
    values are evenly spread (the hash's median helps), with n / 8192 of them in each of 5 bands, instead of with n.
    """
    found = [np.empty((0, 2), np.int64)]
    for band in range(BANDS):
        key = (hashes >> np.uint64(BAND_BITS * band)) & np.uint64((1 << BAND_BITS) - 1)
        for first, second in _pairs_with_equal_key(key):
            near = np.bitwise_count(hashes[first] ^ hashes[second]) <= NEAR
            found.append(np.stack([first[near], second[near]], axis=1))
    pairs = np.unique(np.concatenate(found), axis=0)
    return NearPairs(pairs[:, 0], pairs[:, 1], np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]))


def _pairs_with_equal_key(key: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every pair (smaller position, larger position) of equal keys, some at a time."""
    order = np.argsort(key, kind="stable")
    _, start, size = np.unique(key[order], return_index=True, return_counts=True)
    end = np.repeat(start + size, size)  # for each place in `order`, where its group ends
    for step in range(1, int(size.max(initial=0))):
        places = np.flatnonzero(np.arange(len(order)) + step < end)
        for some in range(0, len(places), PAIRS_AT_A_TIME):
            place = places[some : some + PAIRS_AT_A_TIME]
            yield order[place], order[place + step]
