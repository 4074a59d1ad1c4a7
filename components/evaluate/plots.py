"""The pictures of an evaluation: what the model confuses, whom it gets wrong, and how far to trust it.

Each function draws one figure from arrays and returns it; none keeps state in matplotlib.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferkit.data import EMOTIONS, Faces
from ferkit.metrics.classification import Scores
from ferkit.metrics.evaluation import Evaluation, SplitScores
from ferkit.report.style import BEFORE, EMOTION_COLOURS, FAINT, INK, figure_style

RIGHT, WRONG, SECOND, THIRD = "#2a7f62", "#c0392b", "#9ecae1", "#a1d99b"
BLUE = EMOTION_COLOURS["sad"]


def draw_plots(folder: Path, faces: Faces, scores: Scores, evaluation: Evaluation, seed: int) -> None:
    """Writes every plot as PNG into the folder of the split that is shown, and validation's confusion matrix.

    Args:
        folder: has a folder per split.
        faces: of the split that is shown: test, or validation where test was left unread.
        scores: of the same.
        evaluation: of all splits.
        seed: of the choice of faces to show.
    """
    shown, found = evaluation.shown, evaluation.scores
    with figure_style():
        figures = {
            "validation/confusion_matrix": confusion_matrices(evaluation.splits["validation"], "validation"),
            f"{shown}/confusion_matrix": confusion_matrices(found, shown),
            f"{shown}/per_class": metrics_per_class(found, shown),
            f"{shown}/counts": true_against_predicted(found, shown),
            f"{shown}/reliability": reliability(found, shown),
            f"{shown}/precision_recall": precision_recall(scores, shown),
            f"{shown}/faces": faces_with_probabilities(
                faces, scores, one_right_one_wrong(scores, seed), f"Faces of {shown}, drawn by chance: right and wrong"
            ),
        }
        if evaluation.mistakes:
            mistakes = scores.surest_mistakes(len(evaluation.mistakes))
            title = f"Most confident mistakes on {shown}"
            figures[f"{shown}/mistakes"] = faces_with_probabilities(faces, scores, mistakes, title)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=120)


def confusion_matrices(found: SplitScores, split: str) -> Figure:
    """Counts, and shares of each true class, side by side."""
    counts = np.array(found.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    figure.suptitle(f"{found.rows:,} {split} faces, accuracy {found.metrics['accuracy']:.1%}")
    for axes, title, labels in (
        (figure.add_subplot(1, 2, 1), "faces", [[f"{cell:,}" for cell in row] for row in counts]),
        (figure.add_subplot(1, 2, 2), "share of the true class", [[f"{cell:.0%}" for cell in row] for row in shares]),
    ):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set(title=title, xlabel="predicted", ylabel="true")
        axes.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(EMOTIONS)), EMOTIONS)
        axes.tick_params(length=0)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        for row, column in np.ndindex(counts.shape):
            colour = "white" if shares[row, column] > 0.55 else "black" if counts[row, column] else FAINT
            axes.text(column, row, labels[row][column], ha="center", va="center", color=colour, fontsize=10)
    return figure


def metrics_per_class(found: SplitScores, split: str) -> Figure:
    """Precision, recall and F1 of every class; recall with its 95% interval."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(EMOTIONS))
    ends = np.array([found.intervals.get(f"recall/{emotion}", (np.nan, np.nan)) for emotion in EMOTIONS])
    recall = np.array(found.per_emotion["recall"])
    axes.barh(places - 0.27, found.per_emotion["precision"], 0.25, label="precision", color=SECOND)
    axes.barh(
        places,
        recall,
        0.25,
        xerr=np.abs(np.nan_to_num(ends.T - recall)),
        label="recall, 95% interval",
        color=BLUE,
        error_kw={"elinewidth": 1, "capsize": 2, "ecolor": INK},
    )
    axes.barh(places + 0.27, found.per_emotion["f1"], 0.25, label="F1", color=THIRD)
    support = found.per_emotion["support"]
    axes.set_yticks(places, [f"{emotion}\n{count:,.0f}" for emotion, count in zip(EMOTIONS, support, strict=True)])
    axes.invert_yaxis()
    title = f"Per class on {split} (faces under the name): macro-F1 {found.metrics['macro_f1']:.3f}"
    axes.set(xlim=(0, 1), title=title)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, frameon=False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    return figure


def true_against_predicted(found: SplitScores, split: str) -> Figure:
    """How many faces a class has, and how many were called it."""
    counts = np.array(found.confusion)
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(EMOTIONS))
    for offset, values, label, colour in (
        (-0.2, counts.sum(axis=1), "true", BEFORE),
        (0.2, counts.sum(axis=0), "predicted", BLUE),
    ):
        bars = axes.bar(places + offset, values, 0.38, label=label, color=colour)
        axes.bar_label(bars, labels=[f"{value:,}" for value in values], padding=2, fontsize=9)
    axes.set_xticks(places, EMOTIONS)
    axes.set(ylabel="faces", title=f"True and predicted counts on {split}")
    axes.margins(y=0.12)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def reliability(found: SplitScores, split: str) -> Figure:
    """Share of right answers against the predicted probability, and how many faces each bin has."""
    from sklearn.calibration import CalibrationDisplay

    bins = found.reliability
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    display = CalibrationDisplay(np.array(bins["accuracy"]), np.array(bins["confidence"]), None)
    display.plot(ax=above, name="this model", marker="o", color=BLUE)
    error = found.metrics["calibration_error"]
    above.set(
        xlabel="",
        ylabel="share that is right",
        ylim=(0, 1),
        title=f"Reliability on {split}: calibration error {error:.3f}",
    )
    above.legend(frameon=False, loc="upper left")
    above.grid(alpha=0.3)
    below.bar(bins["confidence"], bins["faces"], width=0.05, color=SECOND)
    below.set(xlabel="probability of the predicted class", ylabel="faces", xlim=(0, 1))
    below.grid(axis="y", alpha=0.3)
    below.set_axisbelow(True)
    return figure


def precision_recall(scores: Scores, split: str) -> Figure:
    """One curve per class, class against the rest, with its average precision; classes without faces have none."""
    from sklearn.metrics import PrecisionRecallDisplay

    figure = Figure(figsize=(8, 5.6), layout="constrained")
    axes = figure.add_subplot()
    for label, emotion in enumerate(EMOTIONS):
        if (of_class := scores.truth == label).any():
            line = {"color": EMOTION_COLOURS[emotion], "linewidth": 1.6}
            PrecisionRecallDisplay.from_predictions(
                of_class, scores.probabilities[:, label], ax=axes, name=emotion, curve_kwargs=line
            )
    axes.set(xlabel="recall", ylabel="precision", title=f"Precision and recall on {split}, with average precision (AP)")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(alpha=0.3)
    return figure


def one_right_one_wrong(scores: Scores, seed: int) -> np.ndarray:
    """Indices of up to two faces per class, drawn by seed: one that was called right, then one that was not."""
    generator = np.random.default_rng(seed)
    right = scores.prediction == scores.truth
    chosen = [
        generator.choice(np.flatnonzero(which))
        for label in range(len(EMOTIONS))
        for which in ((scores.truth == label) & right, (scores.truth == label) & ~right)
        if which.any()
    ]
    return np.array(chosen, np.int64)


def faces_with_probabilities(faces: Faces, scores: Scores, shown: np.ndarray, title: str) -> Figure:
    """Each face beside the bars of its seven probabilities, under `predicted (true)`.

    Args:
        faces: n of them.
        scores: theirs.
        shown: indices of the faces to show, at least one.
        title: of the figure.
    """
    columns, width, height = 4, 2.5, 1.28  # of a cell; a face is 1 x 1, its longest bar 1
    rows = -(-len(shown) // columns)
    high = 1.68 * rows + 0.45  # inches
    figure = Figure(figsize=(13, high))
    figure.set_layout_engine("none")
    figure.suptitle(title, x=0.01, ha="left", y=1 - 0.1 / high, va="top")
    # One pair of axes for everything: forty-eight take four times as long to draw.
    axes = figure.add_axes((0.01, 0.0, 0.98, 1.68 * rows / high))
    axes.set(xlim=(0, columns * width - 0.3), ylim=(rows * height, -0.02))
    axes.axis("off")
    for place, index in enumerate(shown.tolist()):
        row, column = divmod(place, columns)
        left, top = column * width, row * height + 0.2
        axes.imshow(faces.pixels[index], cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top))
        truth, called = int(scores.truth[index]), int(scores.prediction[index])
        _draw_bars(axes, left + 1.52, top, scores.probabilities[index], truth, called)
        right = truth == called
        text = EMOTIONS[called] if right else f"{EMOTIONS[called]}, is {EMOTIONS[truth]}"
        axes.text(left, top - 0.04, text, color=RIGHT if right else WRONG, fontsize=10)
    axes.set_aspect("auto")
    return figure


def _draw_bars(axes: Axes, left: float, top: float, probabilities: np.ndarray, truth: int, called: int) -> None:
    """The seven probabilities as bars from `left`, at most 0.6 long, names before them, over a height of 1."""
    colours = [FAINT] * len(EMOTIONS)
    colours[called] = WRONG
    colours[truth] = RIGHT
    lines = top + (np.arange(len(EMOTIONS)) + 0.5) / len(EMOTIONS)
    axes.barh(lines, 0.6 * probabilities, left=left, height=0.1, color=colours)
    for line, emotion in zip(lines, EMOTIONS, strict=True):
        axes.text(left - 0.04, line, emotion, fontsize=7, ha="right", va="center")
