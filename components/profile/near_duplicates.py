"""Faces that look alike although their pixels differ: recompressed, cropped a little, brightened.

A perceptual hash (ImageHash's `phash`: the signs of the 64 lowest frequencies of a cosine transform, against their
median) maps near-equal pictures to near-equal 64 bits. Faces with equal hashes are one group, and only groups are
compared; what is counted is reckoned from the groups' sizes. So time and memory grow with the faces, however many of
them are alike (a class of blank pictures has one hash).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import imagehash
import numpy as np
from PIL import Image
from scipy import sparse

NEAR = 4
"""Hashes that differ in at most this many of 64 bits are of near-duplicates. (`phash` always has as many ones as zeros,
so distances are even. Of FER2013's pairs at distance 4, the 32 looked at were all of the same photograph.)"""

BANDS = NEAR + 1
"""Two hashes that differ in at most 4 bits are equal in at least one of 5 bands: only such pairs are compared."""

BAND_BITS = 13

PAIRS_AT_A_TIME = 1 << 20

LISTED = 32
"""In a list of pairs, the first face stands for all of a group that has more faces than this."""


def hash_faces(pixels: np.ndarray) -> np.ndarray:
    """The perceptual hashes, uint64 (n,), of faces uint8 (n, side, side)."""
    bits = np.array([imagehash.phash(Image.fromarray(face)).hash.ravel() for face in pixels], bool)
    return np.packbits(bits.reshape(len(pixels), -1), axis=1).view(">u8").astype(np.uint64).ravel()


@dataclass(frozen=True)
class NearDuplicates:
    """Which of n faces resemble which others: hashes at most `NEAR` bits apart, and different pixels.

    Attributes:
        hashes: uint64 (m,), the different hashes.
        group: int64 (n,), which of them each face has.
        picture: int64 (n,), number of each face's pixels among the different ones; a group may hold several pictures.
        near: bool (m, m), the hashes that are near each other; symmetric, each near itself.
    """

    hashes: np.ndarray
    group: np.ndarray
    picture: np.ndarray
    near: sparse.csr_array

    def count_partners(self, kind: np.ndarray, kinds: int) -> np.ndarray:
        """How many near-duplicates of each kind every face has: int64 (n, kinds). Half their sum is the pairs.

        Args:
            kind: int (n,), 0..kinds-1, of every face.
            kinds: how many there are.
        """
        alike = self.near.astype(np.int64) @ _tabulate(self.group, kind, kinds)
        return alike[self.group] - _tabulate(self.picture, kind, kinds)[self.picture]

    def list_pairs(self) -> NearPairs:
        """All pairs; where a group has more than `LISTED` faces, its first one with one of each other picture in it.

        Such a group's first face alone is listed with the faces of other groups, too.
        """
        size = np.bincount(self.group, minlength=len(self.hashes))
        members = np.argsort(self.group, kind="stable")
        start = np.cumsum(size) - size
        shown = np.where(size > LISTED, 1, size)
        one, other = sparse.triu(self.near).nonzero()
        number = shown[one] * shown[other]  # of pairs between two groups, or a group and itself
        turn = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
        wide = np.repeat(shown[other], number)
        first = members[np.repeat(start[one], number) + turn // wide]
        second = members[np.repeat(start[other], number) + turn % wide]
        _, example = np.unique(self.picture, return_index=True)
        example = example[size[self.group[example]] > LISTED]
        first = np.concatenate([first, members[start[self.group[example]]]])
        second = np.concatenate([second, example])
        differ = self.picture[first] != self.picture[second]
        pairs = np.unique(np.sort(np.stack([first[differ], second[differ]], axis=1), axis=1), axis=0)
        one, other = self.group[pairs].T
        return NearPairs(pairs[:, 0], pairs[:, 1], np.bitwise_count(self.hashes[one] ^ self.hashes[other]))


@dataclass(frozen=True)
class NearPairs:
    """Pairs of faces in order, positions `first` < `second`, int64 (k,), and in how many `bits` their hashes differ."""

    first: np.ndarray
    second: np.ndarray
    bits: np.ndarray


def find_near_duplicates(hashes: np.ndarray, exact: np.ndarray) -> NearDuplicates:
    """Groups faces by their hashes, and finds which groups are near.

    Args:
        hashes: uint64 (n,), of `hash_faces`.
        exact: uint64 (n,), equal for identical pixels only.
    """
    different, group = np.unique(hashes, return_inverse=True)
    _, picture = np.unique(exact, return_inverse=True)
    first, second = _find_near_hashes(different)
    each = np.arange(len(different))
    rows, columns = np.concatenate([each, first, second]), np.concatenate([each, second, first])
    near = sparse.csr_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(different), len(different)))
    return NearDuplicates(different, group, picture, near)


def _find_near_hashes(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of positions, first < second, whose hashes differ in at most `NEAR` bits; no hash is there twice.

    Hashes are sorted by each band of theirs in turn, and compared only with those that share it: where the bands'
    values are evenly spread (the hash's median helps), with m / 8192 of them in each of 5 bands, instead of with m.
    """
    found = [np.empty(0, np.int64)]
    for band in range(BANDS):
        key = (hashes >> np.uint64(BAND_BITS * band)) & np.uint64((1 << BAND_BITS) - 1)
        for first, second in _pairs_with_equal_key(key):
            near = np.bitwise_count(hashes[first] ^ hashes[second]) <= NEAR
            found.append(first[near] * len(hashes) + second[near])
    first, second = np.divmod(np.unique(np.concatenate(found)), max(len(hashes), 1))
    return first, second


def _pairs_with_equal_key(key: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every pair (smaller position, larger position) of equal keys, some at a time."""
    order = np.argsort(key, kind="stable")
    _, start, size = np.unique(key[order], return_index=True, return_counts=True)
    end = np.repeat(start + size, size)  # for each place in `order`, where its group ends
    places, step = np.arange(len(order)), 0
    while len(places := places[places + step + 1 < end[places]]):
        step += 1
        for some in range(0, len(places), PAIRS_AT_A_TIME):
            place = places[some : some + PAIRS_AT_A_TIME]
            yield order[place], order[place + step]


def _tabulate(group: np.ndarray, kind: np.ndarray, kinds: int) -> np.ndarray:
    """Faces of each kind in each group: int64 (groups, kinds)."""
    groups = int(group.max(initial=-1)) + 1
    return np.bincount(group * kinds + kind, minlength=groups * kinds).reshape(groups, kinds)
