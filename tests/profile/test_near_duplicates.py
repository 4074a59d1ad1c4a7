"""Near-duplicates: every pair within the distance, no other, without comparing all with all."""

from __future__ import annotations

import imagehash
import numpy as np
from PIL import Image

from components.profile import near_duplicates
from components.profile.near_duplicates import NEAR, find_near_pairs, hash_faces
from components.sample.draw import draw_faces


def test_all_pairs_within_the_distance_are_found_and_no_others() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 300, dtype=np.uint64)
    for copy in range(200, 300):  # near ones, up to 8 bits away, of the first
        flips = rng.choice(64, size=copy % 9, replace=False).astype(np.uint64)
        hashes[copy] = hashes[copy - 200] ^ np.bitwise_or.reduce(np.uint64(1) << flips, initial=np.uint64(0))
    pairs = find_near_pairs(hashes)
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    expected = np.argwhere(np.triu(distance <= NEAR, 1))
    assert len(expected) > 40
    np.testing.assert_array_equal(np.stack([pairs.first, pairs.second], axis=1), expected)
    np.testing.assert_array_equal(pairs.bits, distance[pairs.first, pairs.second])


def test_pairs_are_found_a_few_at_a_time_as_well(monkeypatch) -> None:
    hashes = np.repeat(np.array([7, 1 << 40], np.uint64), 30)
    whole = find_near_pairs(hashes)
    monkeypatch.setattr(near_duplicates, "PAIRS_AT_A_TIME", 7)
    pieces = find_near_pairs(hashes)
    assert len(whole.first) == 60 * 59 // 2  # 7 and 1 << 40 are 4 bits apart: all are near all
    np.testing.assert_array_equal(whole.first, pieces.first)
    np.testing.assert_array_equal(whole.second, pieces.second)


def test_no_faces_have_no_pairs() -> None:
    assert len(find_near_pairs(np.empty(0, np.uint64)).first) == 0


def test_hashes_are_the_librarys_and_survive_a_change_of_light() -> None:
    faces = draw_faces(np.arange(7, dtype=np.uint8), [0])
    hashes = hash_faces(faces)
    assert [f"{value:016x}" for value in hashes] == [str(imagehash.phash(Image.fromarray(face))) for face in faces]
    brighter = np.clip(faces * 0.8 + 30, 0, 255).astype(np.uint8)
    assert (np.bitwise_count(hashes ^ hash_faces(brighter)) <= NEAR).all()
