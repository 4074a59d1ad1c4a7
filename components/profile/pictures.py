"""The profile's pictures: each function draws one figure, to be saved within `figure_style`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from components.profile.measure import ORIGINAL, Augmented, Measured
from components.profile.tables import LEFT, REPEATING, SHARED
from ferkit.data import EMOTIONS, SPLITS, Profile
from ferkit.report.style import BEFORE, EMOTION_COLOURS, FAINT, INK

COLOURS = [EMOTION_COLOURS[name] for name in EMOTIONS]


def draw_emotions(measured: Measured) -> Figure:
    """One face of every emotion, large: the most typical of its training faces."""
    figure = Figure(figsize=(12.8, 2.6))
    figure.suptitle("Seven emotions", x=0.012, ha="left")
    for axes, name in zip(figure.subplots(1, len(EMOTIONS)), EMOTIONS, strict=True):
        if name in measured.most_typical:
            _show(axes, measured.most_typical[name])
        _frame(axes, EMOTION_COLOURS[name])
        axes.set_xlabel(name, fontsize=13, labelpad=7)
    return figure


def draw_thumbnails(measured: Measured) -> Figure:
    """Some training faces of every emotion, evenly spaced over the split: what the network gets to see."""
    figure = Figure(figsize=(12.8, 7.6))
    figure.suptitle("Training faces as they come", x=0.012, ha="left")
    side = measured.mean_face.shape[1]
    step, line = side + side // 12, side + side // 8
    placed = [
        (column * step, row * line, face)
        for row, name in enumerate(EMOTIONS)
        for column, face in enumerate(measured.thumbnails[name])
    ]
    axes = figure.subplots()
    _lay_out(axes, placed)
    _name_lines(axes, EMOTIONS, side, line)
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
    if strategy in ("augmented_oversampling", "oversample"):
        return f"{start}; after it, all are alike" if _alike(after) else f"{start}; after it, {strategy} has filled up"
    return f"{start} (strategy: {strategy})"


def _alike(profile: Profile) -> bool:
    return len(set(profile.splits["train"]["per_emotion"].values())) == 1


def draw_techniques(augmented: Sequence[Augmented], techniques: Sequence[str]) -> Figure:
    """A line an emotion: for each technique a training face, framed, and what was made of it on its right."""
    figure = Figure(figsize=(max(2.4 * len(techniques), 4.8) + 0.8, 1.1 * len(augmented) + 0.8))
    figure.suptitle("What augmentation makes of a face", x=0.012, ha="left")
    side = next(pair.shape[1] for one in augmented for pair in one.pairs.values())
    step, line, pair_step = side + side // 12, side + side // 8, 2 * side + side // 3
    placed = [
        (place * pair_step + column * step, row * line, face)
        for row, one in enumerate(augmented)
        for place, technique in enumerate(techniques)
        if technique in one.pairs
        for column, face in enumerate(one.pairs[technique])
    ]
    axes = figure.subplots()
    _lay_out(axes, placed, width=len(techniques) * pair_step - side // 3 + side // 12)
    for row, one in enumerate(augmented):
        for place, technique in enumerate(techniques):
            if technique in one.pairs:
                corner = (place * pair_step - 0.5, row * line - 0.5)
                colour = EMOTION_COLOURS[one.emotion]
                axes.add_patch(
                    Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=2.5, clip_on=False)
                )
    _name_lines(axes, [one.emotion for one in augmented], side, line)
    for place, technique in enumerate(techniques):
        middle = place * pair_step + side / 2
        axes.text(middle, -side / 8, ORIGINAL, ha="center", fontsize=11, color=FAINT)
        axes.text(middle + step, -side / 8, technique, ha="center", fontsize=12)
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


def draw_faults(rejected: pd.DataFrame, identical: pd.DataFrame, near: pd.DataFrame, read: int) -> Figure:
    """What was wrong with the source's `read` rows; the tables are `list_rejected`'s, `count_identical`'s and
    `count_near_duplicates`'.

    Above what is left out, below what repeats. Each panel counts one thing, named in its title.
    """
    figure = Figure(figsize=(12.8, 6.4))
    figure.suptitle(f"What was found in {read:,} rows", x=0.012, ha="left")
    halves: Any = figure.subfigures(2, 1)
    upper, lower = halves
    upper.suptitle("What is left out", x=0.012, ha="left", fontsize=12)
    lower.suptitle("What repeats; dark and in brackets: with conflicting labels", x=0.012, ha="left", fontsize=12)
    out: Any = upper.subplots(1, 2)
    again: Any = lower.subplots(1, 3)
    what = {kind: identical[identical["what"] == kind] for kind in (REPEATING, SHARED, LEFT)}
    left, repeat, shared = what[LEFT], what[REPEATING], what[SHARED]
    repeat = repeat[repeat["where"] != "all splits"]
    _draw_counts(out[0], f"rows rejected: {rejected['rows'].sum():,}", rejected["reason"], rejected["rows"])
    title = f"rows that left train for identical pixels: {left['count'].sum():,}"
    _draw_counts(out[1], title, left["where"], left["count"])
    title = "rows that repeat one of their split"
    _draw_counts(again[0], title, repeat["where"], repeat["count"], repeat["conflicting"])
    title = "images that lie in two splits"
    _draw_counts(again[1], title, shared["where"], shared["count"], shared["conflicting"])
    title = f"pairs of near-duplicates: {near['pairs'].sum():,}"
    _draw_counts(again[2], title, near["splits"], near["pairs"], near["pairs_with_two_labels"])
    return figure


def _draw_counts(
    axes: Axes, title: str, names: Iterable[str], counts: Iterable[int], conflicting: Iterable[int] | None = None
) -> None:
    """A bar for each count above 0; the part of it whose labels conflict is dark."""
    axes.set_title(title, fontsize=11)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xticks([])
    rows = zip(names, counts, itertools.repeat(0) if conflicting is None else conflicting, strict=False)
    shown = [(name, int(count), 0 if pd.isna(part) else int(part)) for name, count, part in rows if count]
    if not shown:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=FAINT, fontsize=13)
        return
    for place, (_, count, part) in enumerate(shown):
        axes.barh(place, count, height=0.6, color=BEFORE)
        axes.barh(place, part, height=0.6, color=INK)
        conflict = f" ({part:,})" if part else ""
        axes.text(count, place, f" {count:,}{conflict}", va="center", fontsize=10)
    axes.set_yticks(range(len(shown)), [name for name, *_ in shown], fontsize=10)
    axes.set_xlim(0, max(count for _, count, _ in shown) * 1.3)
    axes.set_ylim(max(len(shown), 3) - 0.4, -0.6)


def _lay_out(axes: Axes, placed: Iterable[tuple[int, int, np.ndarray]], width: int = 0) -> None:
    """Faces on ONE white sheet, each with its upper left pixel at (left, top). Axes for each take 15 ms apiece."""
    placed = list(placed)
    height = max((top + len(face) for _, top, face in placed), default=1)
    width = max([width, *(left + face.shape[1] for left, _, face in placed)])
    sheet = np.full((height, width), 255, np.uint8)
    for left, top, face in placed:
        sheet[top : top + len(face), left : left + face.shape[1]] = face
    _show(axes, sheet)


def _name_lines(axes: Axes, emotions: Sequence[str], side: int, line: int) -> None:
    """Names the lines of a sheet of faces, each in its emotion's colour."""
    axes.set_yticks([row * line + side / 2 for row in range(len(emotions))], emotions, fontweight="bold")
    for label, name in zip(axes.get_yticklabels(), emotions, strict=True):
        label.set_color(EMOTION_COLOURS[name])


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
