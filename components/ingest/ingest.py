"""CSV -> checked, de-duplicated faces, split into train, validation and test.

Two passes, both in bounded memory. The first reads the CSV, turns unusable rows away and lays the pixels of the others
down in a temporary file; of every row 22 bytes stay in memory (number, label, split, digest), and some 70 while
duplicates are looked for. What is identical, and so what leaves train, is known only then; the second pass writes the
splits.
"""

from __future__ import annotations

import csv
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from components.ingest.duplicates import TRAIN, choose_dropped, find_duplicates, group_identical
from components.ingest.first_pass import Read, Spool, read_rows, refuse_too_many_rejected
from components.ingest.parameters import Ingest
from components.ingest.split import split_by_seed
from ferkit.data import (
    DIGEST,
    EMOTIONS,
    ROW_GROUP,
    SPLITS,
    Faces,
    Profile,
    SplitWriter,
    atomic_folder,
    split_path,
    write_profile,
)
from ferkit.data.source import OpenCsv, open_csv
from ferkit.errors import UserError
from ferkit.user_input import shown

LOG = logging.getLogger("ferpipe")
DUPLICATES: Final = "duplicates.csv"


def ingest_csv(csv: str, output: Path | str, parameters: Ingest | None = None, source_version: str = "") -> Profile:
    """Reads a FER2013-style CSV into a data set folder: one Parquet file per split, `profile.json`, `rejected.csv`.

    The same CSV and parameters produce the same bytes on any machine, but for the address and version of the CSV in
    `profile.json`: a packed one has its own. The folder appears whole or not at all.

    Args:
        csv: path, `s3://`, `gs://`, `http(s)://` or `sample`; plain, .gz, .zip or .tar.gz, with `#` and a file in it
            if it holds several.
        output: the folder to make; an empty one, or an earlier data set, is replaced.
        parameters: see `Ingest`.
        source_version: as `locate` found it; a CSV that has changed since is refused. Empty: whatever is there.

    Returns:
        What `profile.json` holds.

    Raises:
        UserError: the CSV cannot be read, too many of its rows cannot be used, a split is empty, or an emotion has no
            training rows.
    """
    parameters = parameters or Ingest()
    with atomic_folder(output) as folder:
        with open_csv(csv, source_version) as opened, Spool(folder / ".pixels") as spool:
            read = read_rows(opened, folder, spool, parameters)
            _tell_member(opened)
            refuse_too_many_rejected(opened.name, read, parameters.max_rejected_fraction)
            version = _version_read(opened, source_version, read.sha256)
            group = group_identical(read.digests)
            split = read.split
            if split is None:
                split = split_by_seed(
                    group,
                    read.digests,
                    read.emotion,
                    parameters.validation_fraction,
                    parameters.test_fraction,
                    parameters.split_seed,
                )
            duplicates = find_duplicates(group, read.emotion, split)
            dropped = choose_dropped(group, read.emotion, split) if parameters.duplicates == "drop_from_train" else {}
            kept = ~np.logical_or.reduce([np.zeros(len(split), bool), *dropped.values()])
            _refuse_missing_classes(
                opened.name, read.emotion[kept], split[kept], int((~kept).sum()), usage=read.split is not None
            )
            if parameters.duplicates != "keep":
                _list_duplicates(folder / DUPLICATES, read, split, group, dropped)
            splits = _write_splits(folder, spool, read, split, duplicates.in_train, kept)
        profile = Profile(
            source={
                "csv": opened.source.address,
                "kind": opened.source.kind,
                **({"member": opened.member, "other_members": list(opened.others)} if opened.member else {}),
                "sha256": read.sha256,
                "version": version,
                "rows": read.count,
                "split": "by Usage" if read.split is not None else f"by seed {parameters.split_seed}",
            },
            side=read.side,
            splits=splits,
            rejected=dict(sorted(read.rejected.items())),
            duplicates={
                "policy": parameters.duplicates,
                **duplicates.found,
                "dropped": {reason: int(rows.sum()) for reason, rows in dropped.items()},
            },
        )
        write_profile(folder, profile)
    return profile


def _tell_member(opened: OpenCsv) -> None:
    """Logs which of an archive's CSVs was read, where it has several and none was chosen."""
    if opened.others and not opened.source.member:
        others = ", ".join(shown(other) for other in opened.others[:5]) + (" ..." if len(opened.others) > 5 else "")
        LOG.warning(
            "%s: %d files of faces are in it; %s was read, and %s was not: choose with %s#NAME",
            opened.source.address,
            len(opened.others) + 1,
            shown(opened.member),
            others,
            opened.source.address,
        )


def _version_read(opened: OpenCsv, located: str, sha256: str) -> str:
    """The version that was read, which is the one that was located, if any was."""
    if located and opened.source.pins:
        return located
    found = opened.source.version("" if opened.packed else sha256)
    if located not in ("", found):
        raise UserError(f"{opened.name}: has changed since it was located ({located}, now {found}); run again")
    return found


def _refuse_missing_classes(name: str, emotion: np.ndarray, split: np.ndarray, dropped: int, usage: bool) -> None:
    if not usage:
        cure = "use more faces, or other fractions (validation_fraction, test_fraction)"
    else:
        cure = (
            "its Usage must name Training, PublicTest and PrivateTest rows, or --set ingest.split_by=seed splits the "
            "faces by seed"
        )
    so_far = f" ({dropped:,} duplicates left train; duplicates=keep leaves them in)" if dropped else ""
    for number, what in enumerate(SPLITS):
        if not (split == number).any():
            raise UserError(f"{name}: no usable row is for {what}{so_far}; {cure}")
    per_emotion = np.bincount(emotion[split == TRAIN], minlength=len(EMOTIONS))
    missing = [EMOTIONS[label] for label in np.flatnonzero(per_emotion == 0)]
    if missing:
        raise UserError(
            f"{name}: no training row for {', '.join(missing)}{so_far}; every emotion needs at least one"
            + ("" if usage else f": {cure}")
        )


def _list_duplicates(
    path: Path, read: Read, split: np.ndarray, group: np.ndarray, dropped: dict[str, np.ndarray]
) -> None:
    """Writes every row whose pixels another row has: what it repeats, and whether it left train."""
    repeated = np.flatnonzero((np.bincount(group) > 1)[group])
    _, first, image = np.unique(group[repeated], return_index=True, return_inverse=True)
    with path.open("w", newline="", encoding="ascii") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["row", "same_as", "split", "emotion", "dropped"])
        why = np.full(len(repeated), "", object)
        for reason, rows in dropped.items():
            why[rows[repeated]] = reason
        table.writerows(
            zip(
                read.row[repeated].tolist(),
                read.row[repeated[first[image]]].tolist(),
                [SPLITS[number] for number in split[repeated].tolist()],
                [EMOTIONS[number] for number in read.emotion[repeated].tolist()],
                why.tolist(),
                strict=True,
            )
        )


def _write_splits(
    folder: Path, spool: Spool, read: Read, split: np.ndarray, in_train: np.ndarray, kept: np.ndarray
) -> dict[str, dict[str, Any]]:
    """The second pass: the kept rows of every split, in the CSV's order, to its Parquet file."""
    spool.rewind()
    with ExitStack() as stack:
        writers = [stack.enter_context(SplitWriter(split_path(folder, name), read.side)) for name in SPLITS]
        pixels = np.empty((min(len(split), ROW_GROUP), read.side, read.side), np.uint8)
        for start in range(0, len(split), ROW_GROUP):
            block = slice(start, start + ROW_GROUP)
            spool.read(pixels[: len(split) - start])
            faces = Faces(
                row=read.row[block],
                emotion=read.emotion[block],
                pixels=pixels[: len(split) - start],
                technique=np.full(len(split[block]), "original", object),
                in_train=in_train[block],
            )
            digests = np.frombuffer(read.digests, np.uint8).reshape(-1, DIGEST)[block]
            for number, writer in enumerate(writers):
                chosen = np.flatnonzero(kept[block] & (split[block] == number))
                whole = len(chosen) == len(faces)
                writer.write(faces if whole else faces.take(chosen), digests[chosen].tobytes())
    return {name: writer.record() for name, writer in zip(SPLITS, writers, strict=True)}


def summary(profile: Profile) -> str:
    """One line for the terminal."""
    rows = {split: profile.splits[split]["rows"] for split in SPLITS}
    parts = ", ".join(f"{split} {count:,}" for split, count in rows.items())
    rejected, dropped = sum(profile.rejected.values()), sum(profile.duplicates["dropped"].values())
    return (
        f"{profile.source['rows']:,} rows read, {sum(rows.values()):,} faces of {profile.side} x {profile.side} kept "
        f"({parts}, split {profile.source['split']}); {rejected:,} rejected, {dropped:,} duplicates taken out of train"
    )
