"""The predictions and the classification report of each split, as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ferkit.data import EMOTIONS, Faces
from ferkit.metrics.classification import Scores


def write_tables(folder: Path, faces: Mapping[str, Faces], scores: Mapping[str, Scores]) -> None:
    """Writes `<split>/predictions.csv` of validation and test, and `<split>/classification_report.txt` of all.

    `test_clean` is a part of test: its rows are those of test's predictions whose `in_train` is false.
    """
    for split, of in scores.items():
        (folder / split).mkdir()
        (folder / split / "classification_report.txt").write_text(classification_report(of))
        if split != "test_clean":
            predictions(faces[split], of).to_csv(folder / split / "predictions.csv", index=False, float_format="%.6g")


def predictions(faces: Faces, scores: Scores) -> pd.DataFrame:
    """A line per face: `row` in the source CSV, `in_train`, `truth`, `prediction`, a probability per emotion."""
    names = np.array(EMOTIONS)
    table = pd.DataFrame(
        {
            "row": faces.row,
            "in_train": faces.in_train,
            "truth": names[scores.truth],
            "prediction": names[scores.prediction],
        }
    )
    return table.join(pd.DataFrame(scores.probabilities, columns=list(EMOTIONS)))


def classification_report(scores: Scores) -> str:
    """Precision, recall, F1 and support per class, as scikit-learn prints them, over all seven classes."""
    from sklearn.metrics import classification_report as as_text

    return str(
        as_text(
            scores.truth,
            scores.prediction,
            labels=range(len(EMOTIONS)),
            target_names=EMOTIONS,
            digits=4,
            zero_division=0,  # pyright: ignore[reportArgumentType]
        )
    )
