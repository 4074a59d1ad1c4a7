"""Near-duplicates: every pair within the distance is counted, and no other, without comparing all with all."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from PIL import Image

from components.profile import near_duplicates
from components.profile.near_duplicates import LISTED, NEAR, find_near_duplicates, hash_faces
from ferkit.data.sample.draw import draw_faces


def make_faces(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """300 hashes and exact digests: near ones, equal ones of several pictures, identical faces; a large group of 40."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, 300, dtype=np.uint64)
    for copy in range(160, 260):  # up to 8 bits away from one of the first, so some are near each other too
        flips = rng.choice(64, size=copy % 9, replace=False).astype(np.uint64)
        hashes[copy] = hashes[copy % 60] ^ np.bitwise_or.reduce(np.uint64(1) << flips, initial=np.uint64(0))
    hashes[260:] = hashes[0]
    exact = np.arange(300, dtype=np.uint64)
    for one, other in ((261, 260), (262, 260), (270, 269), (290, 0)):
        exact[one] = exact[other]
    order = rng.permutation(300)
    return hashes[order], exact[order]


def compare_all(hashes: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """bool (n, n), each face with each: at most `NEAR` bits apart, and not of the same pixels."""
    return (np.bitwise_count(hashes[:, None] ^ hashes) <= NEAR) & (exact[:, None] != exact)


@pytest.mark.parametrize("seed", range(5))
def test_each_faces_near_duplicates_of_every_kind_are_counted_as_if_all_were_compared(seed: int) -> None:
    hashes, exact = make_faces(seed)
    kind = np.random.default_rng(seed).integers(0, 5, 300)
    near = compare_all(hashes, exact)
    expected = np.stack([near[:, kind == one].sum(axis=1) for one in range(5)], axis=1)
    assert near.sum() > 40
    np.testing.assert_array_equal(find_near_duplicates(hashes, exact).count_partners(kind, 5), expected)


@pytest.mark.parametrize("seed", range(5))
def test_all_pairs_are_listed_but_of_a_large_group_the_first_face_stands_for_it(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes, exact = make_faces(seed)
    near = find_near_duplicates(hashes, exact)
    expected = np.argwhere(np.triu(compare_all(hashes, exact)))
    large = np.isin(hashes, [value for value in hashes if (hashes == value).sum() > LISTED])
    assert large.sum() >= 40
    shortened = near.list_pairs()
    first_of_all = np.flatnonzero(large)[0]
    listed = set(zip(shortened.first.tolist(), shortened.second.tolist(), strict=True))
    assert {pair for pair in listed if not large[list(pair)].any()} == {
        (one, other) for one, other in expected.tolist() if not large[[one, other]].any()
    }
    assert {other for one, other in listed if large[one] and large[other]} | {first_of_all} >= {
        np.flatnonzero(exact == value)[0] for value in exact[large] if value != exact[first_of_all]
    }
    assert len(listed) == len(shortened.first) < len(expected)
    assert listed <= {(one, other) for one, other in expected.tolist()}
    monkeypatch.setattr(near_duplicates, "LISTED", 300)
    monkeypatch.setattr(near_duplicates, "PAIRS_AT_A_TIME", 7)  # a few at a time, to the same pairs
    whole = find_near_duplicates(hashes, exact).list_pairs()
    np.testing.assert_array_equal(np.stack([whole.first, whole.second], axis=1), expected)
    np.testing.assert_array_equal(whole.bits, np.bitwise_count(hashes[whole.first] ^ hashes[whole.second]))


def test_a_hash_that_half_a_million_faces_share_is_counted_and_not_compared() -> None:
    """Comparing all of them would be 1e11 pairs; two hashes 4 bits apart, and all faces near all."""
    many = 250_000
    near = find_near_duplicates(
        np.repeat(np.array([7, 1 << 40], np.uint64), many), np.arange(2 * many, dtype=np.uint64)
    )
    assert near.count_partners(np.zeros(2 * many, np.int64), 1).sum() // 2 == 2 * many * (2 * many - 1) // 2
    assert len(near.list_pairs().first) == 2 * (many - 1) + 1


def test_no_faces_have_no_near_duplicates() -> None:
    near = find_near_duplicates(np.empty(0, np.uint64), np.empty(0, np.uint64))
    assert near.count_partners(np.empty(0, np.int64), 3).shape == (0, 3)
    assert len(near.list_pairs().first) == 0


def test_hashes_are_the_librarys_and_survive_a_change_of_light() -> None:
    faces = draw_faces(np.arange(7, dtype=np.uint8), [0])
    hashes = hash_faces(faces)
    assert [f"{value:016x}" for value in hashes] == [str(imagehash.phash(Image.fromarray(face))) for face in faces]
    brighter = np.clip(faces * 0.8 + 30, 0, 255).astype(np.uint8)
    assert (np.bitwise_count(hashes ^ hash_faces(brighter)) <= NEAR).all()
