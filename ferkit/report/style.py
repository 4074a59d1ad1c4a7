"""One look for every picture of the pipeline: on a slide, in MLflow, in the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

INK: Final = "#22262e"
FAINT: Final = "#8b919c"
RULE: Final = "#e4e6ea"
BEFORE: Final = "#c3c8d1"
"""What was there before, beside what is shown in colour."""

EMOTION_COLOURS: Final = {
    "angry": "#d1495b",
    "disgust": "#5b8c5a",
    "fear": "#7a5195",
    "happy": "#edae49",
    "sad": "#30638e",
    "surprise": "#e07a3f",
    "neutral": "#7f8a99",
}
"""Each emotion has its colour in every picture, in the order of `EMOTIONS`."""

_STYLE: Any = {
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.axisbelow": True,
    "axes.grid": False,
    "axes.prop_cycle": f"cycler('color', {list(EMOTION_COLOURS.values())})",
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "figure.titlesize": 15,
    "figure.titleweight": "bold",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Draws what is drawn, and saved, within the block in the pipeline's style; matplotlib is left as it was.

    Make figures as `matplotlib.figure.Figure(...)`, not by pyplot: they need no display and no closing.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever style a caller or a matplotlibrc has set
        matplotlib.rcParams.update(_STYLE)
        yield
