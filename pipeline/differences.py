"""How candidates differ on the same test rows, from the predictions that their runs keep; no model is loaded."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import mlflow
import numpy as np
from mlflow.artifacts import load_text

from ferkit.addresses import without_secrets
from ferkit.data import EMOTIONS
from ferkit.metrics.evaluation import FOLDER
from ferkit.metrics.intervals import joint_counts
from ferkit.metrics.paired import Difference, Differences, compare_on_same_rows
from ferkit.store_errors import is_out_of_reach
from pipeline.compare import Row

RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Against:
    """How a candidate differs from the one it is held against, on the same test rows, with 95% intervals.

    Attributes:
        name: of the other's run.
        run_id: of the other.
        rows: test rows that both were scored on.
        macro_f1: difference in macro-F1.
        accuracy: difference in accuracy.
        recall: differences in recall whose interval, simultaneous over the classes, lies on one side of 0.
    """

    name: str
    run_id: str
    rows: int
    macro_f1: Difference
    accuracy: Difference
    recall: dict[str, Difference]


def hold_against(client: mlflow.MlflowClient, rows: Sequence[Row], reference: Row) -> dict[str, Against | str]:
    """Each row's differences from `reference`, by run id.

    The same test rows are those with the same pixels and labels (by the digests that the runs keep), in the same order
    of the CSV. Where a run keeps no digest, row numbers and labels decide.

    Returns:
        A sentence in place of the differences where there are none: not scored on test, scored on other faces, or its
        predictions are out of reach.
    """
    read = _Reader(client)
    of_reference = read(reference)
    found: dict[str, Against | str] = {}
    for row in rows:
        if row.run_id == reference.run_id:
            continue
        if reference.test_digest and row.test_digest and reference.test_digest != row.test_digest:
            found[row.run_id] = "scored on other test faces"
        elif isinstance(of_row := read(row), str):
            found[row.run_id] = of_row
        elif isinstance(of_reference, str):
            found[row.run_id] = f"{reference.name}: {of_reference}"
        else:
            found[row.run_id] = _against(reference, of_reference, of_row)
    return found


@dataclass(frozen=True)
class _Predictions:
    """Of a run on test: int32 (n,) rows of the source CSV, ascending, and labels 0..6 (n,)."""

    row: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


class _Reader:
    """Reads candidates' predictions on test. A store of files that did not answer once is not asked again."""

    def __init__(self, client: mlflow.MlflowClient) -> None:
        self._client = client
        self._out_of_reach: set[str] = set()

    def __call__(self, row: Row) -> _Predictions | str:
        """The predictions; a sentence for why there are none."""
        if row.macro_f1 is None:
            return "test was left unread" if row.status == "FINISHED" and row.val_macro_f1 is not None else "not scored"
        store = _store_of(str(self._client.get_run(row.run_id).info.artifact_uri))
        sentence = f"its predictions in {store} are out of reach"
        if store in self._out_of_reach:
            return sentence
        folder = f"{FOLDER}/test"
        try:
            return _parse(load_text(f"runs:/{row.run_id}/{folder}/predictions.csv"))
        except (mlflow.MlflowException, OSError):
            # Of a file that is not there and of a store that does not answer, MLflow's download says the same.
            if self._has(row.run_id, folder):
                self._out_of_reach.add(store)
                return sentence
            return "no predictions to compare"

    def _has(self, run_id: str, folder: str) -> bool:
        """Whether a run keeps files in a folder, for all that is known: its store may not answer."""
        try:
            return bool(self._client.list_artifacts(run_id, folder))
        except Exception as error:  # of whichever library talks with that store
            return is_out_of_reach(error) and not isinstance(error, FileNotFoundError)


def _store_of(artifact_uri: str) -> str:
    """The store of files that an address is in, without path and secrets.

    >>> _store_of("s3://mlflow/1/0b07cf9a/artifacts"), _store_of("/home/ann/mlruns/1/0b07cf9a/artifacts")
    ('s3://mlflow', 'the file system')
    """
    parts = urlsplit(without_secrets(artifact_uri))
    if parts.netloc:
        return f"{parts.scheme}://{parts.netloc}"
    return "MLflow's store of files" if parts.scheme == "mlflow-artifacts" else "the file system"


def _parse(text: str) -> _Predictions:
    label = {emotion: number for number, emotion in enumerate(EMOTIONS)}
    lines = sorted((int(line["row"]), line["truth"], line["prediction"]) for line in csv.DictReader(io.StringIO(text)))
    return _Predictions(
        np.array([row for row, _, _ in lines], np.int32),
        np.array([label[truth] for _, truth, _ in lines], np.int64),
        np.array([label[prediction] for _, _, prediction in lines], np.int64),
    )


def _against(reference: Row, first: _Predictions, second: _Predictions) -> Against | str:
    if not np.array_equal(first.row, second.row) or not np.array_equal(first.truth, second.truth):
        return "scored on other test rows, or in another order"
    joint = joint_counts(first.truth, first.prediction, second.prediction)
    found: Differences = compare_on_same_rows(joint, RESAMPLES, 0, CONFIDENCE)
    discernible = {emotion: d for emotion, d in found.recall.items() if d.low > 0 or d.high < 0}
    return Against(reference.name, reference.run_id, len(first.row), found.macro_f1, found.accuracy, discernible)
