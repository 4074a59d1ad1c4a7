"""`balance_classes`: a data set folder in, a data set folder with a balanced training split out."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from components.balance.draws import key_of
from components.balance.parameters import Balance
from components.balance.plan import COPY, Plan, plan_new_faces
from components.balance.techniques import TECHNIQUES
from ferkit.data import (
    EMOTIONS,
    Faces,
    Profile,
    SplitWriter,
    read_column,
    read_columns_in_chunks,
    read_profile,
    read_split_in_chunks,
    split_path,
    write_profile,
)
from ferkit.data.atomic_folder import atomic_folder

CHUNK = 2048
"""Faces in work at a time (5 MB of 48x48). The order of faces depends on it, and peak memory; no face does."""

ORIGINAL = "original"

NOT_ONCE = "the balanced train does not have every face of train once"


class LeakedParent(RuntimeError):
    """A balanced training split has a face that no training face made: a fault of ours, never of the input."""


def balance_classes(faces: Path | str, balanced: Path | str, parameters: Balance) -> Profile:
    """Writes a data set folder whose training split is balanced; validation and test are the same files.

    The same faces and parameters produce the same bytes. Time and size grow with the faces written, memory hardly
    does: it is a few chunks, and some 200 bytes per training face.

    Args:
        faces: data set folder of `ingest`.
        balanced: folder to make; it appears whole, after `prove_parents` has passed, or not at all.
        parameters: strategy and its settings.

    Returns:
        The profile written: as `faces` has it, with `splits.train` and `balance` new. `balance` has `parameters`,
        `made` (per technique, how many faces of each emotion) and `class_weight` (per emotion; for that strategy only).

    Raises:
        UserError: `faces` is no data set folder, an emotion has no training face, `balanced` cannot be written.
        LeakedParent: the proof failed; nothing is left behind.
    """
    profile = read_profile(faces)
    makes_faces = parameters.strategy in ("augmented_oversampling", "oversample")
    made: dict[str, np.ndarray] = {}
    with atomic_folder(balanced) as part:
        for split in ("validation", "test") if makes_faces else ("train", "validation", "test"):
            shutil.copyfile(split_path(faces, split), split_path(part, split))
        record = profile.splits["train"]
        if makes_faces:
            plan = plan_new_faces(read_column(faces, "train", "emotion"), parameters)
            made = plan.quotas
            with SplitWriter(split_path(part, "train"), profile.side) as writer:
                _write_behind(writer, make_chunks(faces, plan, parameters))
            record = writer.record()
        prove_parents(faces, part)
        result = replace(
            profile,
            splits={**profile.splits, "train": record},
            balance={
                "parameters": parameters.model_dump(mode="json"),
                "made": {technique: _by_emotion(number) for technique, number in made.items()},
                "class_weight": weigh_classes(record["per_emotion"]) if parameters.strategy == "class_weight" else {},
            },
        )
        write_profile(part, result)
    return result


def weigh_classes(per_emotion: Mapping[str, int]) -> dict[str, float]:
    """Weights of the emotions in the loss, so that each counts alike in sum and the mean over all faces is 1.

    faces / (emotions * faces of this emotion), as scikit-learn's "balanced" (King and Zeng, "Logistic Regression in
    Rare Events Data", 2001). An emotion without faces has weight 0.
    """
    counts = {name: per_emotion[name] for name in EMOTIONS}
    present = sum(count > 0 for count in counts.values())
    return {name: sum(counts.values()) / (present * count) if count else 0.0 for name, count in counts.items()}


def prove_parents(faces: Path | str, balanced: Path | str) -> None:
    """Proves of a balanced folder that no face of another split has come into training.

    Reads back what was written: every row's `row` is that of a training face of `faces` with the same emotion, every
    training face is there once under its own name, and validation and test are byte for byte the same.

    Raises:
        LeakedParent: naming the first row that fails.
    """
    source_row, source_emotion = (read_column(faces, "train", name) for name in ("row", "emotion"))
    emotion_of = np.full(source_row.max(initial=-1) + 1, 255, np.uint8)
    emotion_of[source_row] = source_emotion
    originals = 0
    for row, emotion, technique in read_columns_in_chunks(balanced, "train", "row", "emotion", "technique"):
        known = row < len(emotion_of)
        wrong = row[~known | (emotion_of[np.where(known, row, 0)] != emotion)]
        if len(wrong):
            raise LeakedParent(f"row {wrong[0]} of the source is in the balanced train, but is no face of train")
        own = row[technique == ORIGINAL]
        if not np.array_equal(own, source_row[originals : originals + len(own)]):
            raise LeakedParent(NOT_ONCE)
        originals += len(own)
    if originals != len(source_row):
        raise LeakedParent(NOT_ONCE)
    for split in ("validation", "test"):
        if not filecmp.cmp(split_path(faces, split), split_path(balanced, split), shallow=False):
            raise LeakedParent(f"{split} was changed")


def make_chunks(folder: Path | str, plan: Plan, parameters: Balance) -> Iterator[Faces]:
    """The training faces, chunk by chunk, each chunk followed by the new faces made from it."""
    start = 0
    for chunk in read_split_in_chunks(folder, "train", CHUNK):
        yield chunk
        parent, child = plan.children(start, start + len(chunk))
        for some in range(0, len(parent), CHUNK):
            piece = slice(some, some + CHUNK)
            yield _make(chunk, start, parent[piece], child[piece], plan, parameters)
        start += len(chunk)


def _make(chunk: Faces, start: int, parent: np.ndarray, child: np.ndarray, plan: Plan, parameters: Balance) -> Faces:
    """The new faces of these parents (positions in the split) and child numbers, in that order."""
    techniques = [*plan.quotas]
    which = plan.techniques(parent, child)
    faces = chunk.take(parent - start)
    key = key_of(parameters.seed, parent, child)
    for number, technique in enumerate(techniques):
        at = np.flatnonzero(which == number)
        if len(at) and technique in TECHNIQUES:
            faces.pixels[at] = TECHNIQUES[technique].make(faces.pixels[at], key[at], parameters)
    name = np.array(techniques, object)[which]
    # A copy has a training row's pixels, as the contract's column says; what augmentation makes does not.
    return Faces(faces.row, faces.emotion, faces.pixels, name, faces.in_train & (name == COPY))


def _write_behind(writer: SplitWriter, chunks: Iterator[Faces]) -> None:
    """Writes chunks on a thread of its own (writing leaves Python's lock), at most two waiting."""
    with ThreadPoolExecutor(1, "writer") as thread:
        waiting = []
        for chunk in chunks:
            waiting.append(thread.submit(writer.write, chunk))
            if len(waiting) > 1:
                waiting.pop(0).result()
        for written in waiting:
            written.result()


def _by_emotion(number: np.ndarray) -> dict[str, Any]:
    return dict(zip(EMOTIONS, number.tolist(), strict=True))


def describe_change(before: Profile, after: Profile) -> str:
    """One line for people: what balancing did, in faces."""
    strategy = after.balance["parameters"]["strategy"]
    rows, rows_before = after.splits["train"]["rows"], before.splits["train"]["rows"]
    if strategy == "class_weight":
        weights = after.balance["class_weight"]
        rarest = max(weights, key=weights.__getitem__)
        return f"class_weight: {rows:,} training faces kept, a face of {rarest} weighs {weights[rarest]:.1f}"
    if rows == rows_before:
        return f"{strategy}: {rows:,} training faces kept as they are"
    least, most = (
        min(after.splits["train"]["per_emotion"].values()),
        max(after.splits["train"]["per_emotion"].values()),
    )
    each = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    return f"{strategy}: {rows_before:,} training faces -> {rows:,}, {each} of every emotion"
