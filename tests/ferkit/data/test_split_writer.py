"""A split on disk is what was written, chunk by chunk, and so are its counts."""

from pathlib import Path

import numpy as np

from ferkit.data import ContentDigest, Faces, SplitWriter, read_split, split_path


def _faces(number: int, seed: int) -> Faces:
    rng = np.random.default_rng(seed)
    return Faces(
        row=np.arange(number, dtype=np.int32),
        emotion=rng.integers(0, 7, number).astype(np.uint8),
        pixels=rng.integers(0, 256, (number, 6, 6)).astype(np.uint8),
        technique=np.full(number, "original", object),
        in_train=rng.integers(0, 2, number).astype(bool),
    )


def test_chunks_are_written_in_order_and_counted(tmp_path: Path):
    chunks = [_faces(number, seed) for seed, number in enumerate((5000, 1, 0, 300))]
    with SplitWriter(split_path(tmp_path, "train"), 6) as writer:
        for chunk in chunks:
            writer.write(chunk)
    read, digest = read_split(tmp_path, "train"), ContentDigest()
    for name in ("row", "emotion", "pixels", "technique", "in_train"):
        assert np.array_equal(getattr(read, name), np.concatenate([getattr(chunk, name) for chunk in chunks]))
    digest.update(read)
    record = writer.record()
    assert record["rows"] == sum(record["per_emotion"].values()) == 5301
    assert record["in_train"] == read.in_train.sum()
    assert record["digest"] == digest.hexdigest()
