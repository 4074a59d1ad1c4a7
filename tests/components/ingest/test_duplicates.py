"""What is found among identical pixels, and which rows leave train, on arrays small enough to check by eye."""

from __future__ import annotations

import numpy as np

from components.ingest.duplicates import (
    CONFLICT,
    HELD_OUT,
    REPEAT,
    TEST,
    TRAIN,
    VALIDATION,
    choose_dropped,
    find_duplicates,
    group_identical,
)
from components.ingest.split import split_by_seed
from ferkit.data import digest_pixels


def arrays(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(image, emotion, split) of every row as group, emotion and split."""
    group, emotion, split = np.array(rows).T
    return group, emotion.astype(np.uint8), split.astype(np.uint8)


def test_groups_equal_pixels_only():
    pixels = np.array([[[1, 2]], [[3, 4]], [[1, 2]], [[1, 3]]], np.uint8)
    group = group_identical(digest_pixels(pixels))
    assert group[0] == group[2]
    assert len(set(group.tolist())) == 3


def test_a_training_row_that_is_held_out_leaves_train_and_the_held_out_stay():
    dropped = choose_dropped(*arrays([(0, 1, TRAIN), (0, 1, TEST), (1, 2, TRAIN), (1, 3, VALIDATION), (2, 2, TRAIN)]))
    assert dropped[HELD_OUT].tolist() == [True, False, True, False, False]
    assert not dropped[REPEAT].any()
    assert not dropped[CONFLICT].any()


def test_repeats_within_train_are_kept_once_the_first():
    dropped = choose_dropped(*arrays([(0, 1, TRAIN), (1, 1, TRAIN), (0, 1, TRAIN), (0, 1, TRAIN)]))
    assert dropped[REPEAT].tolist() == [False, False, True, True]


def test_of_conflicting_labels_the_majority_is_kept_and_a_tie_drops_all():
    majority = choose_dropped(*arrays([(0, 5, TRAIN), (0, 1, TRAIN), (0, 1, TRAIN)]))
    assert majority[REPEAT].tolist() == [True, False, True]
    tie = choose_dropped(*arrays([(0, 5, TRAIN), (0, 1, TRAIN), (1, 1, TRAIN)]))
    assert tie[CONFLICT].tolist() == [True, True, False]
    assert not tie[REPEAT].any()


def test_repeats_within_validation_and_test_stay():
    dropped = choose_dropped(*arrays([(0, 1, TEST), (0, 1, TEST), (0, 1, VALIDATION), (1, 1, TRAIN)]))
    assert not np.logical_or.reduce(list(dropped.values())).any()


def test_counts_within_across_and_conflicting():
    rows = [(0, 1, TRAIN), (0, 1, TRAIN), (0, 2, TEST), (1, 3, VALIDATION), (1, 3, TEST), (2, 4, TRAIN)]
    duplicates = find_duplicates(*arrays(rows))
    assert duplicates.in_train.tolist() == [True, True, True, False, False, True]
    assert duplicates.found == {
        "rows_repeating_another": 3,
        "within": {"train": 1, "validation": 0, "test": 0},
        "across": {"train_validation": 0, "train_test": 1, "validation_test": 1},
        "conflicting_labels": {
            "images": 1,
            "rows": 3,
            "within": {"train": 0, "validation": 0, "test": 0},
            "across": {"train_validation": 0, "train_test": 1, "validation_test": 0},
        },
    }


def test_conflicting_labels_are_told_apart_within_each_split_and_across_each_two():
    rows = [
        *[(0, 1, TRAIN), (0, 2, TRAIN), (0, 1, TRAIN)],  # conflict in train only: two rows repeat there
        *[(1, 3, TRAIN), (1, 3, TRAIN), (1, 4, VALIDATION)],  # alike in train, a conflict with validation
        *[(2, 5, VALIDATION), (2, 6, VALIDATION), (2, 5, TEST)],  # in validation, and so with test
        *[(3, 0, TRAIN), (3, 0, TRAIN), (3, 0, VALIDATION), (3, 0, TEST)],  # no conflict anywhere
        *[(4, 1, TRAIN), (4, 2, VALIDATION), (4, 1, TEST)],  # train and test agree, validation with neither
    ]
    assert find_duplicates(*arrays(rows)).found == {
        "rows_repeating_another": 11,
        "within": {"train": 4, "validation": 1, "test": 0},
        "across": {"train_validation": 3, "train_test": 2, "validation_test": 3},
        "conflicting_labels": {
            "images": 4,
            "rows": 12,
            "within": {"train": 2, "validation": 1, "test": 0},
            "across": {"train_validation": 2, "train_test": 0, "validation_test": 2},
        },
    }


def test_an_image_of_conflicting_labels_is_split_with_those_of_the_label_most_of_its_rows_carry():
    rng = np.random.default_rng(0)
    pixels = np.concatenate([rng.integers(0, 256, (400, 2, 2), np.uint8)] * 4)  # every image four times
    emotion = rng.integers(0, 3, 1600).astype(np.uint8)  # with labels that conflict, and often tie
    digests = digest_pixels(pixels)
    group = group_identical(digests)
    split = split_by_seed(group, digests, emotion, 0.2, 0.1, seed=3)
    votes = (emotion.reshape(4, 400, 1) == np.arange(3)).sum(axis=0)
    majority = votes.argmax(axis=1)
    assert ((votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum() > 50
    for label in range(3):
        of = np.bincount(split[:400][majority == label], minlength=3)
        assert of[1:].tolist() == [round(0.2 * of.sum()), round(0.1 * of.sum())]

    as_if_agreed = split_by_seed(group, digests, np.tile(majority, 4).astype(np.uint8), 0.2, 0.1, seed=3)
    assert (split == as_if_agreed).all()
    for order in (np.arange(1600)[::-1], rng.permutation(1600)):
        again = digest_pixels(pixels[order])
        assert (split_by_seed(group_identical(again), again, emotion[order], 0.2, 0.1, seed=3) == split[order]).all()


def test_split_is_stratified_keeps_copies_together_and_ignores_the_order_of_rows():
    rng = np.random.default_rng(0)
    emotion = np.repeat(np.arange(7, dtype=np.uint8), 100)
    pixels = rng.integers(0, 256, (700, 2, 2), np.uint8)
    copies = rng.integers(0, 700, 200)
    emotion, pixels = np.concatenate([emotion, emotion[copies]]), np.concatenate([pixels, pixels[copies]])
    digests = digest_pixels(pixels)
    group = group_identical(digests)
    split = split_by_seed(group, digests, emotion, 0.2, 0.1, seed=3)

    images = split[np.unique(group, return_index=True)[1]]
    assert np.bincount(images).tolist() == [490, 140, 70]
    for number in range(7):
        assert np.bincount(split[:700][emotion[:700] == number], minlength=3).tolist() == [70, 20, 10]
    assert (split[700:] == split[copies]).all()

    order = rng.permutation(900)
    again = digest_pixels(pixels[order])
    assert (split_by_seed(group_identical(again), again, emotion[order], 0.2, 0.1, seed=3) == split[order]).all()
    assert (split_by_seed(group, digests, emotion, 0.2, 0.1, seed=4) != split).any()
