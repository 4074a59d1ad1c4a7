"""A search's pictures: how it went, where good trials are, what matters. To be saved within `figure_style`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ferkit.report.style import BEFORE, EMOTION_COLOURS, INK, RULE
from ferkit.search.dimensions import Dimension, Range
from ferkit.search.importance import Importance
from ferkit.search.trials import SearchRecord, TrialRow
from ferkit.tracking.names import State

BLUE: Final = EMOTION_COLOURS["sad"]
RED: Final = EMOTION_COLOURS["angry"]
MOST_LABELS: Final = 12
"""Characters of a value beside an axis."""


def draw_history(search: SearchRecord) -> Figure:
    """Each trial's score on validation, in their order, and the best so far; pruned and failed ones marked."""
    figure = Figure(figsize=(9.6, 4.2))
    axes = figure.subplots()
    finished = [trial for trial in search.trials if trial.is_finished and trial.macro_f1 is not None]
    pruned = [trial for trial in search.trials if trial.state == State.PRUNED and trial.macro_f1 is not None]
    failed = [trial for trial in search.trials if trial.state == State.FAILED]
    best = search.best_first[0]
    axes.set_title(
        f"The best of {len(search.trials)} trials is {best.number}: macro-F1 {best.macro_f1:.3f} on validation"
    )
    numbers = [trial.number for trial in finished]
    scores = [trial.macro_f1 or 0.0 for trial in finished]
    axes.step(numbers, np.maximum.accumulate(scores), where="post", color=INK, linewidth=1.4, label="best so far")
    axes.scatter(numbers, scores, color=BLUE, s=34, zorder=3, label=f"finished ({len(finished)})")
    if pruned:
        at = [trial.number for trial in pruned], [trial.macro_f1 or 0.0 for trial in pruned]
        axes.scatter(*at, color=BEFORE, s=34, zorder=3, label=f"pruned ({len(pruned)}), at their last epoch")
    if failed:
        low = axes.get_ylim()[0]
        axes.scatter(
            [trial.number for trial in failed],
            [low] * len(failed),
            marker="x",
            color=RED,
            label=f"failed: {len(failed)}",
        )
    axes.set(xlabel="trial", ylabel="macro-F1 on validation")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    axes.legend(loc="lower right", fontsize=9)
    return figure


def draw_parallel_coordinates(search: SearchRecord, space: int) -> Figure:
    """A line per trial of a space through its values and its macro-F1: the better, the darker; pruned ones grey."""
    dimensions = {name: one for name, one in search.plan.spaces.spaces[space].items() if one.size != 1}
    trials = [
        trial
        for trial in search.trials
        if trial.point is not None and trial.point.space == space and trial.macro_f1 is not None
    ]
    trials.sort(key=lambda trial: (trial.is_finished, trial.macro_f1))  # the best on top
    scores = [trial.macro_f1 or 0.0 for trial in trials if trial.is_finished]
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    figure = Figure(figsize=(max(7.0, 1.7 * (len(dimensions) + 1) + 1.6), 4.6))
    axes = figure.subplots()
    axes.set_title(_title(search, space, "Where the good trials are"), pad=28)
    for at, (name, dimension) in enumerate(dimensions.items()):
        _axis(axes, at, name, _marks(dimension))
    score_at = len(dimensions)
    spread = (high - low) or 1.0
    _axis(axes, score_at, "macro-F1", [(0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")])
    for trial in trials:
        assert trial.point is not None
        heights = [_height(one, trial.point.values[name]) for name, one in dimensions.items()]
        heights.append(min(max(((trial.macro_f1 or 0.0) - low) / spread, 0.0), 1.0))
        shade = colormaps["Blues"](0.25 + 0.75 * heights[-1]) if trial.is_finished else BEFORE
        dashed = "-" if trial.is_finished else ":"
        axes.plot(range(len(heights)), heights, dashed, color=shade, linewidth=1.6, solid_joinstyle="round")
    axes.set_xlim(-0.3, score_at + 0.45)
    axes.set_ylim(-0.06, 1.06)
    axes.set_axis_off()
    return figure


def _axis(axes: Any, at: int, name: str, marks: Sequence[tuple[float, str]]) -> None:
    axes.plot([at, at], [0, 1], color=RULE, linewidth=5, zorder=0, solid_capstyle="butt")
    axes.text(at, 1.09, name, ha="center", va="bottom", fontsize=10, color=INK)
    for height, label in marks:
        pad = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
        axes.text(at + 0.05, height, label, ha="left", va="center", fontsize=8.5, color=INK, bbox=pad, zorder=5)


def _marks(dimension: Dimension) -> list[tuple[float, str]]:
    if isinstance(dimension, Range):
        return [(0.0, f"{dimension.low:g}"), (1.0, f"{dimension.high:g}")]
    return [(_height(dimension, value), _short(value)) for value in dimension.values]


def _height(dimension: Dimension, value: Any) -> float:
    """Where on its axis a value lies, 0 to 1."""
    if isinstance(dimension, Range):
        low, high, own = dimension.low, dimension.high, float(value)
        if dimension.log:
            low, high, own = math.log(low), math.log(high), math.log(own)
        return (own - low) / (high - low)
    return dimension.values.index(value) / max(len(dimension.values) - 1, 1)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MOST_LABELS else f"{text[: MOST_LABELS - 1]}…"


def draw_importance(search: SearchRecord, importance: Importance) -> Figure:
    """How much of the differences between trials is due to each parameter, largest on top."""
    names = list(importance.shares)[::-1]
    shares = [importance.shares[name] for name in names]
    figure = Figure(figsize=(7.6, 1.5 + 0.42 * len(names)))
    axes = figure.subplots()
    axes.set_title(_title(search, importance.space, f"What matters, by PED-ANOVA over {importance.trials} trials"))
    axes.barh(range(len(names)), shares, height=0.62, color=BLUE)
    for at, share in enumerate(shares):
        axes.text(share, at, f"  {share:.2f}", va="center", fontsize=10)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, max(shares) * 1.15 or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    return figure


def _title(search: SearchRecord, space: int, title: str) -> str:
    """With which space it is, where there are several."""
    spaces = search.plan.spaces.spaces
    if len(spaces) == 1:
        return title
    architecture = spaces[space].get("architecture")
    named = "/".join(map(str, architecture.values)) if architecture and not isinstance(architecture, Range) else ""
    return f"{title}: space {space + 1}, {named}"


def finished_in(search: SearchRecord, space: int) -> list[TrialRow]:
    """The finished trials of a space."""
    return [trial for trial in search.trials if trial.is_finished and trial.point and trial.point.space == space]
