"""The profile's tables: each a name and a pandas frame, written as CSV beside the pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd

from components.profile.measure import Measured
from components.profile.near_duplicates import LISTED, NearDuplicates, NearPairs
from ferkit.data import EMOTIONS, SPLITS, Profile


def count_classes(before: Profile, after: Profile) -> pd.DataFrame:
    """Faces per emotion in every split, and in train after balancing."""
    frame = pd.DataFrame({split: before.splits[split]["per_emotion"] for split in SPLITS}, index=list(EMOTIONS))
    frame.insert(1, "train_balanced", pd.Series(after.splits["train"]["per_emotion"]))
    frame.loc["all"] = frame.sum()
    return frame.rename_axis("emotion").reset_index()


def count_techniques(after: Profile) -> pd.DataFrame:
    """New faces per technique and emotion; no columns but `emotion` where none were made."""
    frame = pd.DataFrame(after.balance.get("made", {}), index=list(EMOTIONS))
    return frame.rename_axis("emotion").reset_index()


def list_rejected(rejected: Mapping[str, int]) -> pd.DataFrame:
    """Rows that could not be used, by reason."""
    return pd.DataFrame(list(rejected.items()), columns=["reason", "rows"])


REPEATING, SHARED, LEFT = "repeat another", "in two splits", "left train"


def count_identical(duplicates: Mapping[str, Any]) -> pd.DataFrame:
    """What ingest found and did about identical pixels: `what`, `where` (or why), `count`, and of what `unit`.

    `conflicting` is the part of `count` whose labels conflict there, empty where it was not counted. The three kinds
    count in different ways and overlap; only those that `left train` add up.
    """
    conflicts = duplicates.get("conflicting_labels", {})
    rows: list[tuple[str, str, str, int, int | None]] = []
    if "rows_repeating_another" in duplicates:
        conflicting = conflicts.get("rows", 0) - conflicts.get("images", 0)  # all but one row of each image
        rows.append((REPEATING, "all splits", "rows", duplicates["rows_repeating_another"], conflicting))
    for split, count in _in_order(duplicates.get("within", {}), SPLITS):
        rows.append((REPEATING, split, "rows", count, conflicts.get("within", {}).get(split)))
    pairs = {f"{one}_{other}": f"{one} and {other}" for one, other in combinations(SPLITS, 2)}
    for pair, count in _in_order(duplicates.get("across", {}), pairs):
        rows.append((SHARED, pairs[pair], "images", count, conflicts.get("across", {}).get(pair)))
    for reason, count in duplicates.get("dropped", {}).items():
        rows.append((LEFT, reason, "rows", count, None))
    frame = pd.DataFrame(rows, columns=["what", "where", "unit", "count", "conflicting"])
    return frame.astype({"conflicting": "Int64"})


def _in_order(counts: Mapping[str, int], order: Iterable[str]) -> list[tuple[str, int]]:
    """The counts in the order of the arguments: `profile.json` has them in the alphabet's."""
    return [(name, counts[name]) for name in order if name in counts]


def describe_light(measured: Measured) -> pd.DataFrame:
    """Brightness and contrast (grey levels) of the training faces of each emotion: quartiles and means."""
    train = measured.split == SPLITS.index("train")
    rows = []
    for label, name in enumerate(EMOTIONS):
        of = train & (measured.emotion == label)
        row: dict[str, Any] = {"emotion": name, "faces": int(of.sum())}
        for what in ("brightness", "contrast"):
            values = getattr(measured, what)[of]
            quartiles = np.percentile(values, [25, 50, 75]) if len(values) else [np.nan] * 3
            mean = values.mean() if len(values) else np.nan
            row |= dict(zip([f"{what}_{q}" for q in ("q1", "median", "q3")], np.round(quartiles, 1), strict=True))
            row[f"{what}_mean"] = round(float(mean), 1)
        rows.append(row)
    return pd.DataFrame(rows)


def count_near_duplicates(measured: Measured, near: NearDuplicates) -> pd.DataFrame:
    """Near-duplicates within and across splits: pairs, those with two labels, faces of each split that are in one."""
    kind = measured.split.astype(np.int64) * len(EMOTIONS) + measured.emotion
    partners = near.count_partners(kind, len(SPLITS) * len(EMOTIONS)).reshape(-1, len(SPLITS), len(EMOTIONS))
    of_split = partners.sum(axis=2)
    same_label = np.take_along_axis(partners, measured.emotion[:, None, None].astype(np.int64), axis=2)[:, :, 0]
    rows = []
    for one, other in combinations_with_replacement(range(len(SPLITS)), 2):
        here = measured.split == one
        halves = 2 if one == other else 1  # a pair within a split is counted from both of its faces
        pairs = int(of_split[here, other].sum()) // halves
        faces = dict.fromkeys(range(len(SPLITS)), 0)
        faces[one], faces[other] = (
            int((of_split[measured.split == this, that] > 0).sum()) for this, that in ((one, other), (other, one))
        )
        rows.append(
            {
                "splits": SPLITS[one] if one == other else f"{SPLITS[one]} and {SPLITS[other]}",
                "pairs": pairs,
                "pairs_with_two_labels": pairs - int(same_label[here, other].sum()) // halves,
                **{f"faces_in_{split}": faces[n] for n, split in enumerate(SPLITS)},
            }
        )
    return pd.DataFrame(rows)


def count_leaked(measured: Measured, near: NearDuplicates) -> int:
    """Faces of validation and test that have a near-duplicate in train."""
    train = SPLITS.index("train")
    partners = near.count_partners(measured.split.astype(np.int64), len(SPLITS))
    return int((partners[measured.split != train, train] > 0).sum())


def list_near_pairs(measured: Measured, pairs: NearPairs) -> pd.DataFrame:
    """Pairs of near-duplicates: both rows of the source, their splits and labels, and how many of 64 bits differ."""
    names, splits = np.array(EMOTIONS), np.array(SPLITS)
    return pd.DataFrame(
        {
            "row": measured.row[pairs.first],
            "near_row": measured.row[pairs.second],
            "split": splits[measured.split[pairs.first]],
            "near_split": splits[measured.split[pairs.second]],
            "emotion": names[measured.emotion[pairs.first]],
            "near_emotion": names[measured.emotion[pairs.second]],
            "bits": pairs.bits,
        }
    )


def describe_large_groups(measured: Measured, near: NearDuplicates) -> pd.DataFrame:
    """Hashes that more than `LISTED` faces share, the largest first: how many faces, pictures and labels they have.

    `row` is that of the first face, which stands for the others in `list_near_pairs`.
    """
    rows = []
    size = np.bincount(near.group, minlength=len(near.hashes))
    members = np.argsort(near.group, kind="stable")
    start = np.cumsum(size) - size
    for group in sorted(np.flatnonzero(size > LISTED), key=lambda one: -size[one]):
        faces = members[start[group] : start[group] + size[group]]
        rows.append(
            {
                "row": measured.row[faces[0]],
                "hash": f"{near.hashes[group]:016x}",
                "faces": len(faces),
                "pictures": len(np.unique(near.picture[faces])),
                "labels": len(np.unique(measured.emotion[faces])),
                **{split: int((measured.split[faces] == n).sum()) for n, split in enumerate(SPLITS)},
            }
        )
    return pd.DataFrame(rows, columns=["row", "hash", "faces", "pictures", "labels", *SPLITS])
