"""What is known about a scored model: written by `evaluate` to the candidate's run, read by who compares or reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import mlflow
import mlflow.artifacts
import numpy as np
from mlflow.entities import Run

from ferkit.addresses import without_secrets
from ferkit.data import EMOTIONS
from ferkit.errors import OutOfReach
from ferkit.metrics.classification import Scores, calibration
from ferkit.metrics.intervals import Interval, bootstrap_intervals
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import names
from ferkit.tracking.names import State
from ferkit.user_input import shown

FOLDER: Final = "evaluation"
"""Where a candidate's run keeps what evaluate made."""

FILE: Final = f"{FOLDER}/evaluation.json"

STORED_METRICS: Final = "figures"
"""The key of `SplitScores.metrics` in that file, whose format is version 0.1's."""


@dataclass(frozen=True)
class SplitScores:
    """The metrics of one split.

    Attributes:
        digest: content digest of its faces.
        rows: number of faces.
        metrics: of the whole split, by name: see `Scores.metrics`.
        per_emotion: metric -> value per class in the order of `EMOTIONS`: see `Scores.metrics_per_emotion`.
        intervals: 95% intervals of `accuracy`, `macro_f1` and `recall/<emotion>`; none for a class without faces.
        confusion: faces, 7 x 7, truth along the rows.
        reliability: `confidence`, `accuracy` and `faces` per bin that has any.
    """

    digest: str
    rows: int
    metrics: dict[str, float]
    per_emotion: dict[str, list[float]]
    intervals: dict[str, Interval]
    confusion: list[list[int]]
    reliability: dict[str, list[float]]

    @property
    def worst_class(self) -> str:
        """The emotion of the lowest recall, of those that have faces."""
        there = [label for label, faces in enumerate(self.per_emotion["support"]) if faces]
        return EMOTIONS[min(there, key=lambda label: self.per_emotion["recall"][label])]


@dataclass(frozen=True)
class Mistake:
    """A misclassified face of which the model was confident.

    Attributes:
        row: data row of the source CSV, 0-based.
        truth: its emotion.
        prediction: the predicted emotion.
        probability: of the prediction, 0..1.
        of_truth: probability of the true emotion, 0..1.
        png: the face, base64 of a PNG.
    """

    row: int
    truth: str
    prediction: str
    probability: float
    of_truth: float
    png: str


@dataclass(frozen=True)
class Evaluation:
    """All that `evaluate` measured of one model.

    Attributes:
        side: height and width of a face in pixels.
        data_digest: of the data set it was scored on.
        splits: `validation`; and, unless test was left unread, `test` and, where some test rows are not among the
            training rows, `test_clean`.
        mistakes: the most confident ones on the split that is `shown`.
    """

    side: int
    data_digest: str
    splits: dict[str, SplitScores]
    mistakes: list[Mistake]

    @property
    def shown(self) -> str:
        """The split whose metrics count: `test`; `validation` where test was left unread."""
        return "test" if "test" in self.splits else "validation"

    @property
    def scores(self) -> SplitScores:
        """Of the split that is `shown`."""
        return self.splits[self.shown]

    def to_json(self) -> str:
        stored = asdict(self)
        for split in stored["splits"].values():
            split[STORED_METRICS] = split.pop("metrics")
        return json.dumps(stored)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        loaded: dict[str, Any] = json.loads(text)
        splits = {
            name: SplitScores(metrics=split.pop(STORED_METRICS), **split) for name, split in loaded["splits"].items()
        }
        for split in splits.values():
            split.intervals.update({name: Interval(*ends) for name, ends in split.intervals.items()})
        mistakes = [Mistake(**mistake) for mistake in loaded["mistakes"]]
        return cls(loaded["side"], loaded["data_digest"], splits, mistakes)


def describe_split(scores: Scores, digest: str, resamples: int, seed: int) -> SplitScores:
    """Every metric of a split, with intervals from `resamples` bootstrap resamples."""
    found = bootstrap_intervals(scores.confusion, resamples, seed)
    intervals = {"accuracy": found.accuracy, "macro_f1": found.macro_f1}
    for emotion, ends in zip(EMOTIONS, found.recalls, strict=True):
        if not np.isnan(ends.low):
            intervals[f"recall/{emotion}"] = ends
    bins = calibration(scores.truth, scores.probabilities)
    return SplitScores(
        digest=digest,
        rows=len(scores.truth),
        metrics=scores.metrics(),
        per_emotion={name: values.tolist() for name, values in scores.metrics_per_emotion().items()},
        intervals=intervals,
        confusion=scores.confusion.tolist(),
        reliability={
            "confidence": bins.confidence.tolist(),
            "accuracy": bins.accuracy.tolist(),
            "faces": bins.faces.tolist(),
        },
    )


@dataclass(frozen=True)
class CandidateRun:
    """A candidate as its MLflow run tells it.

    Attributes:
        run_id: its run.
        experiment_id: that holds it.
        name: the run's name.
        status: `FINISHED`, `FAILED`, ...
        failure: the sentence with which it failed; empty otherwise.
        architecture: its network.
        parameters: as logged.
        metrics: the latest value of each.
        tags: of the run.
        evaluation: what `evaluate` measured; None where nothing was scored.
    """

    run_id: str
    experiment_id: str
    name: str
    status: str
    failure: str
    architecture: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    evaluation: Evaluation | None

    @property
    def state(self) -> str:
        """One of `State`; of a run of version 0.1, which has none, what its evaluation and its failure say."""
        known = State.EVALUATED if self.evaluation else State.FAILED if self.failure else State.WAITING
        return self.tags.get(names.STATE) or known

    @property
    def why_not_evaluated(self) -> str:
        """A few words on a candidate without an evaluation: its failure, else how far it came."""
        reasons = {State.PRUNED: "pruned by its search", State.TRAINED: "trained, but not among the finalists"}
        return self.failure or reasons.get(self.state, "not evaluated")


def read_candidate(client: mlflow.MlflowClient, run_id: str) -> CandidateRun:
    """A candidate with everything that its run holds.

    Raises:
        OutOfReach: it was evaluated, and its evaluation cannot be read.
    """
    run = client.get_run(run_id)
    return CandidateRun(
        run_id=run_id,
        experiment_id=run.info.experiment_id,
        name=run.info.run_name or run_id[:8],
        status=run.info.status,
        failure=run.data.tags.get(names.FAILURE, ""),
        architecture=run.data.tags.get(names.ARCHITECTURE, ""),
        parameters=run.data.params,
        metrics=run.data.metrics,
        tags=run.data.tags,
        evaluation=read_evaluation(run),
    )


def read_evaluation(run: Run) -> Evaluation | None:
    """What `evaluate` wrote to a candidate's run; None where it scored nothing.

    Raises:
        OutOfReach: it was evaluated, and the file cannot be read. MLflow's code for a store that does not answer is
            that of a file that is not there.
    """
    state = run.data.tags.get(names.STATE, "")
    if state not in ("", State.EVALUATED):
        return None
    try:
        return Evaluation.from_json(mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/{FILE}"))
    except mlflow.MlflowException as error:
        if not state and not is_out_of_reach(error):  # how a run of version 0.1 says that it was not evaluated
            return None
        raise OutOfReach(
            f"run {run.info.run_id} ({run.info.run_name}) was evaluated, but {FILE} cannot be read from "
            f"{shown(without_secrets(str(run.info.artifact_uri)))} ({shown(str(error))[:200]}); see whether that store "
            "answers, and try again"
        ) from None
