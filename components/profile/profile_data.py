"""`profile_data`: two data set folders in, a folder of pictures and tables out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from components.profile import pictures, tables
from components.profile.measure import Measured, measure_faces, pick_augmented
from components.profile.near_duplicates import find_near_duplicates
from ferkit.data import PROFILE, SPLITS, Profile, read_profile
from ferkit.report.style import figure_style

REJECTED = "rejected.csv"


@dataclass(frozen=True)
class Findings:
    """What was found, in numbers that a person acts on.

    Attributes:
        before: profile of the faces as ingested.
        after: profile after balancing.
        near_pairs: pairs of near-duplicates.
        leaked: faces of validation and test that have a near-duplicate in train.
        files: names of what was written.
    """

    before: Profile
    after: Profile
    near_pairs: int
    leaked: int
    files: tuple[str, ...]

    def summary(self) -> str:
        """One line for people."""
        faces = sum(self.before.splits[split]["rows"] for split in SPLITS)
        return (
            f"{faces:,} faces in {len(self.files)} pictures and tables; {self.near_pairs:,} pairs of "
            f"near-duplicates, {self.leaked:,} faces of validation and test resemble one of train"
        )


def profile_data(faces: Path | str, balanced: Path | str, folder: Path) -> Findings:
    """Draws and counts what is in a data set, before and after balancing.

    Args:
        faces: data set folder of `ingest`.
        balanced: data set folder that `balance` made of it.
        folder: where the PNG and CSV files are put; exists.

    Raises:
        UserError: one of the first two is no data set folder.
    """
    before, after = read_profile(faces), read_profile(balanced)
    measured = measure_faces(faces)
    near = find_near_duplicates(measured.phash, measured.exact)
    frames = {
        "classes": tables.count_classes(before, after),
        "techniques": tables.count_techniques(after),
        "rejected": tables.list_rejected(before.rejected),
        "duplicates": tables.count_identical(before.duplicates),
        "brightness_contrast": tables.describe_light(measured),
        "near_duplicates": tables.count_near_duplicates(measured, near),
        "near_duplicate_pairs": tables.list_near_pairs(measured, near.list_pairs()),
    }
    groups = tables.describe_large_groups(measured, near)
    if len(groups):
        frames["near_duplicate_groups"] = groups
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    shutil.copyfile(Path(balanced) / PROFILE, folder / PROFILE)
    if (Path(faces) / REJECTED).is_file():
        shutil.copyfile(Path(faces) / REJECTED, folder / "rejected_rows.csv")
    with figure_style():
        for name, figure in _draw_all(before, after, measured, balanced, frames).items():
            figure.savefig(folder / f"{name}.png")
    files = tuple(sorted(path.name for path in folder.iterdir()))
    leaked = tables.count_leaked(measured, near)
    return Findings(before, after, int(frames["near_duplicates"]["pairs"].to_numpy().sum()), leaked, files)


def _draw_all(
    before: Profile, after: Profile, measured: Measured, balanced: Path | str, frames: dict[str, pd.DataFrame]
) -> dict[str, Figure]:
    """The pictures by name; the one of the techniques only where there is something to show."""
    drawn = {
        "emotions": pictures.draw_emotions(measured),
        "thumbnails": pictures.draw_thumbnails(measured),
        "classes": pictures.draw_classes(before, after),
        "mean_faces": pictures.draw_mean_faces(measured),
        "brightness_contrast": pictures.draw_light(measured),
        "faults": pictures.draw_faults(
            frames["rejected"], frames["duplicates"], frames["near_duplicates"], read=int(before.source.get("rows", 0))
        ),
    }
    augmented = pick_augmented(balanced, measured)
    if augmented:
        made = [name for name, counts in after.balance.get("made", {}).items() if any(counts.values())]
        drawn["techniques"] = pictures.draw_techniques(augmented, made)
    return drawn
