"""The profile's pictures: each function draws one figure, to be saved within `figure_style`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.faces import EMOTIONS, SPLITS, Profile
from components.faces.style import BEFORE, EMOTION_COLOURS, FAINT, INK
from components.profile.measure import ORIGINAL, Augmented, Measured

COLOURS = [EMOTION_COLOURS[name] for name in EMOTIONS]


def draw_emotions(measured: Measured) -> Figure:
    """One face of every emotion, large: the one of those kept that shows the most (the highest contrast)."""
    figure = Figure(figsize=(12.8, 2.9))
    figure.suptitle("Seven emotions", x=0.012, ha="left")
    for axes, name in zip(figure.subplots(1, len(EMOTIONS)), EMOTIONS, strict=True):
        shown = measured.thumbnails[name]
        if len(shown):
            _show(axes, shown[shown.std(axis=(1, 2)).argmax()])
        _frame(axes, EMOTION_COLOURS[name])
        axes.set_xlabel(name, fontsize=13, labelpad=7)
    return figure


def draw_thumbnails(measured: Measured) -> Figure:
    """Some training faces of every emotion, evenly spaced over the split: what the network gets to see."""
    columns = max(len(shown) for shown in measured.thumbnails.values())
    figure = Figure(figsize=(12.8, 7.6))
    figure.suptitle("Training faces as they come", x=0.012, ha="left")
    grid = figure.subplots(len(EMOTIONS), columns, squeeze=False, gridspec_kw={"wspace": 0.03, "hspace": 0.03})
    for line, name in zip(grid, EMOTIONS, strict=True):
        for axes, face in zip(line, measured.thumbnails[name], strict=False):
            _show(axes, face)
        for axes in line[len(measured.thumbnails[name]) :]:
            axes.axis("off")
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", color=EMOTION_COLOURS[name], fontweight="bold")
    return figure


def draw_classes(before: Profile, after: Profile) -> Figure:
    """Faces per emotion in train, before (grey) and after balancing (colour), and the shares in the other splits."""
    figure = Figure(figsize=(12.8, 5.4))
    strategy = after.balance.get("parameters", {}).get("strategy", "none")
    figure.suptitle(_balance_title(before, after, strategy), x=0.012, ha="left")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    old, new = (np.array([one.splits["train"]["per_emotion"][name] for name in EMOTIONS]) for one in (before, after))
    at = np.arange(len(EMOTIONS))
    changed = not np.array_equal(old, new)
    left.barh(at, new, height=0.66, color=COLOURS)
    if changed:
        left.barh(at, old, height=0.66, color="white", alpha=0.55, edgecolor="white", linewidth=0)
        for place, (count, total) in enumerate(zip(old.tolist(), new.tolist(), strict=True)):
            left.plot([count, count], [place - 0.33, place + 0.33], color=INK, linewidth=1.6)
            added = f"  {count:,} + {total - count:,}" if total > count else f"  {count:,}"
            left.text(total, place, added, va="center", fontsize=10)
        left.set_title("train: as ingested (pale, up to the mark) and added", color=FAINT, fontsize=11)
    else:
        for place, count in enumerate(old.tolist()):
            left.text(count, place, f"  {count:,}", va="center", fontsize=10)
        left.set_title("train", color=FAINT, fontsize=11)
    left.set_xlim(0, max(new.max(), 1) * 1.22)
    right.set_title("share in %, from the top: train, validation, test", color=FAINT, fontsize=11)
    for number, split in enumerate(SPLITS):
        counts = np.array([before.splits[split]["per_emotion"][name] for name in EMOTIONS])
        share = 100 * counts / max(counts.sum(), 1)
        right.barh(at + 0.25 * (number - 1), share, height=0.22, color=COLOURS, alpha=(1, 0.65, 0.35)[number])
    for axes in (left, right):
        axes.set_yticks(at, EMOTIONS)
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def _balance_title(before: Profile, after: Profile, strategy: str) -> str:
    counts = before.splits["train"]["per_emotion"]
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    ratio = counts[most] / max(counts[least], 1)
    start = f"Before balancing, {most} is {ratio:.0f} times as frequent as {least}"
    if strategy in ("augment", "oversample"):
        return f"{start}; after it, all are alike" if _alike(after) else f"{start}; after it, {strategy} has filled up"
    return f"{start} (strategy: {strategy})"


def _alike(profile: Profile) -> bool:
    return len(set(profile.splits["train"]["per_emotion"].values())) == 1


def draw_techniques(augmented: Sequence[Augmented], techniques: Sequence[str]) -> Figure:
    """Training faces (left) and what each technique made of them."""
    columns = [ORIGINAL, *techniques]
    figure = Figure(figsize=(2.0 * len(columns) + 0.8, 2.1 * len(augmented) + 0.9))
    figure.suptitle("What augmentation makes of a face", x=0.012, ha="left")
    grid = figure.subplots(len(augmented), len(columns), squeeze=False, gridspec_kw={"wspace": 0.04, "hspace": 0.04})
    for line, one in zip(grid, augmented, strict=True):
        for axes, technique in zip(line, columns, strict=True):
            if technique in one.faces:
                _show(axes, one.faces[technique])
            else:
                axes.axis("off")
        _frame(line[0], EMOTION_COLOURS[one.emotion])
        line[0].set_ylabel(one.emotion, color=EMOTION_COLOURS[one.emotion], fontweight="bold")
    for axes, technique in zip(grid[0], columns, strict=True):
        axes.set_title(technique, loc="center", fontsize=12)
    return figure


def draw_mean_faces(measured: Measured) -> Figure:
    """The mean training face of each emotion, and how it differs from the mean of all: red brighter, blue darker."""
    figure = Figure(figsize=(12.8, 4.5))
    figure.suptitle("The mean face of each emotion, and what sets it apart", x=0.012, ha="left")
    grid = figure.subplots(2, len(EMOTIONS))
    apart = measured.mean_face - measured.mean_face.mean(axis=0)
    reach = max(float(np.abs(apart).max()), 1.0)
    picture: Any = None
    for column, name in enumerate(EMOTIONS):
        _show(grid[0, column], measured.mean_face[column])
        picture = _show(grid[1, column], apart[column], cmap="RdBu_r", vmin=-reach, vmax=reach)
        grid[0, column].set_title(name, loc="center", color=EMOTION_COLOURS[name], fontweight="bold")
    bar = figure.colorbar(picture, ax=grid[1, :].tolist(), shrink=0.85, aspect=12, pad=0.01)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.set_label("grey levels", fontsize=9, color=FAINT)
    grid[0, 0].set_ylabel("mean")
    grid[1, 0].set_ylabel("minus the mean\nof all emotions")
    return figure


def draw_light(measured: Measured) -> Figure:
    """How bright and how rich in contrast the training faces of each emotion are."""
    figure = Figure(figsize=(12.8, 4.8))
    figure.suptitle("Brightness and contrast: median, middle half, 5% to 95%", x=0.012, ha="left")
    train = measured.split == SPLITS.index("train")
    sides: Any = figure.subplots(1, 2, sharey=True)
    for axes, values, title in zip(
        sides,
        (measured.brightness, measured.contrast),
        ("brightness: mean grey level of a face", "contrast: standard deviation of its grey levels"),
        strict=True,
    ):
        for label, name in enumerate(EMOTIONS):
            some = values[train & (measured.emotion == label)]
            if not len(some):
                continue
            low, q1, middle, q3, high = np.percentile(some, [5, 25, 50, 75, 95])
            axes.plot([low, high], [label, label], color=EMOTION_COLOURS[name], linewidth=1.6)
            axes.barh(label, q3 - q1, left=q1, height=0.5, color=EMOTION_COLOURS[name], alpha=0.55)
            axes.plot([middle, middle], [label - 0.25, label + 0.25], color=INK, linewidth=2)
        axes.set_title(title, color=FAINT, fontsize=11)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
    sides[0].set_yticks(np.arange(len(EMOTIONS)), EMOTIONS)
    sides[0].invert_yaxis()
    return figure


Counts = Sequence[tuple[str, int]]


def draw_faults(rejected: Counts, duplicates: Counts, near: Counts, read: int) -> Figure:
    """What was wrong with the source's `read` rows: those rejected by reason, identical pixels, near-duplicates."""
    figure = Figure(figsize=(12.8, 4.8))
    figure.suptitle(f"What was found in {read:,} rows", x=0.012, ha="left")
    panels = (
        (rejected, f"rows rejected: {sum(count for _, count in rejected):,}"),
        (duplicates, "rows with identical pixels"),
        (near, f"pairs of near-duplicates: {sum(count for _, count in near):,}"),
    )
    for axes, (named, title) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.set_title(title, fontsize=11)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xticks([])
        counts = np.array([count for _, count in named])
        if not named:
            axes.set_yticks([])
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=FAINT, fontsize=13)
            continue
        axes.barh(np.arange(len(counts)), counts, height=0.6, color=BEFORE)
        for place, count in enumerate(counts.tolist()):
            axes.text(count, place, f" {count:,}", va="center", fontsize=10)
        axes.set_yticks(np.arange(len(counts)), [name for name, _ in named], fontsize=10)
        axes.set_xlim(0, counts.max() * 1.25)
        axes.set_ylim(max(len(counts), 5) - 0.4, -0.6)
    return figure


def _show(axes: Axes, face: np.ndarray, **how: Any) -> Any:
    """The face on bare axes, its grey levels as they are (black is 0, white is 255)."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes.imshow(face, **({"cmap": "gray", "vmin": 0, "vmax": 255} | how))


def _frame(axes: Axes, colour: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color=colour, linewidth=2.5)
