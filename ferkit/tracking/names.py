"""Names under which everything is found in MLflow: experiment, registered model, tags, metrics."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

EXPERIMENT: Final = "facial-expression"
REGISTERED_MODEL: Final = "facial-expression"
SAMPLE_MODEL: Final = "facial-expression-sample"
"""The registered model of the drawn sample, so that a model of people is not judged against one of drawings."""
MODEL_PARAMETER: Final = "registered_model"
"""Parameter of a parent run: the registered model that its candidates become versions of."""

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"

GENERATED_NAME: Final = re.compile(r"[a-z]+-[a-z]+-\d{1,4}")
"""What MLflow calls a run that nobody named: `worried-robin-823`."""

MODEL_ARTIFACT: Final = "model"
"""A candidate's model is `runs:/<run_id>/model`."""

# Tags of runs.
PIPELINE_RUN_ID: Final = "kfp.pipeline_run_id"
GIT_COMMIT: Final = "git.commit"
CODE_VERSION: Final = "code.version"
"""Digest of all sources of the steps: see ferkit/code_version.py."""
WEIGHTS_VERSION: Final = "code.weights"
"""Digest of the sources on which a candidate's weights depend: a run is not resumed with another one."""
DATA_VERSION: Final = "data.version"
"""Version of the source CSV, known before a row is read: see components/locate."""
DATA_SHA256: Final = "data.sha256"
DATA_DIGEST: Final = "data.digest"
DATA_NAME: Final = "data.name"
"""A short name of the CSV, for people: `fer2013`."""
ARCHITECTURE: Final = "architecture"
CANDIDATE_ID: Final = "candidate_id"
REUSED_FROM: Final = "reused.from"
"""Of a candidate that was not trained: the id of the run of an equal one, whose model and metrics it has."""
CANDIDATE: Final = "candidate"
"""Of a logged model: the name of its candidate's run."""
GROUP: Final = "group"
"""Of candidates that differ in their seed alone: what they have in common."""
IMAGE: Final = "image"
PIPELINE_VERSION: Final = "pipeline.version"
RUN_KIND: Final = "run.kind"
"""`pipeline` on a parent run, `candidate` on its children, `search` on the record of a search's decisions, `ledger` on
that of promotions."""
SEARCH_RUN: Final = "search.run"
"""Of a trial: the id of its search's own run."""
FAILURE: Final = "failure"
"""The sentence with which a run failed."""
FAILURE_KIND: Final = "failure.kind"
"""What kind of failure that was: the exception's class."""
OWNER: Final = "owner.id"
"""Of a parent: who runs it, for finding it. Who owns it is decided by `owner.first` and its parameters `owner/<n>`:
see owner.py."""
FIRST_OWNER: Final = "owner.first"
"""Of a parent: who opened it."""
BEAT: Final = "owner.beat"
"""Of a parent that runs on some machine: a number that grows while its owner lives."""
CLOSED_BY: Final = "closed.by"
"""Of a parent that has ended: the id of the owner that ended it, who may open it again."""
COMPLETED: Final = "pipeline.completed"
"""Of a parent: its last step has done its work. What the backend says of the run's end counts less than this."""
PARENT_NAME: Final = "pipeline.run"
"""Of a candidate: its pipeline run's name."""
CANDIDATES: Final = "run.candidates"
"""Of a run that registered candidates of other pipeline runs: their ids, with commas."""
GATE_VERDICT: Final = "gate.verdict"
"""Of a parent: what the gate said, in a sentence; or why it said nothing."""
VERDICT: Final = "verdict"
"""Of a candidate and a parent: `approved`, `rejected` or `not_gated`, of its (or its best candidate's) version."""
VERDICT_REASONS: Final = "verdict.reasons"
"""Of a candidate and a parent: why the gate said so, or why it said nothing."""
VERSION: Final = "version"
"""Of a candidate and a parent: the version that it (or its best candidate) became, as `facial-expression/3`."""
BEST_CANDIDATE: Final = "best"
"""Of a parent: the name of the candidate that is the best on validation, which the gate judges if it is registered."""
NOTE: Final = "note"
"""Of a parent: what the person who started it said of it; the description begins with it."""
STANDS_FOR: Final = "run.stands_for"
"""Of a run that `mlflow run` opened: the id of the run that has what it did, and that commands take in its place."""
STATE: Final = "candidate.state"
"""Of a candidate: how far it is, see `State`. It alone decides; MLflow's status is for display."""

# Tags of model versions.
VALIDATION_STATUS: Final = "validation_status"
"""`approved`, `rejected` or `not_gated`."""
VALIDATION_REASONS: Final = "validation_reasons"
COMPARED_WITH: Final = "compared_with"


ENSEMBLE: Final = "ensemble"
"""What an ensemble's run has in place of an architecture."""
CROSS_FITTED: Final = "cross_fitted/macro_f1"
"""Metric of an ensemble whose weights were fitted to validation: its macro-F1 there, each face mixed with weights that
were fitted without it. It takes the place of the validation metric wherever that chooses."""


class State:
    """How far a candidate is: the values of its tag `STATE`."""

    WAITING: Final = "waiting"
    RUNNING: Final = "running"
    TRAINED: Final = "trained"
    PRUNED: Final = "pruned"
    FAILED: Final = "failed"
    EVALUATED: Final = "evaluated"


WITHOUT_EFFECT: Final = frozenset({"reuse", "require_gpu", "save_every", "tensorboard"})
"""Parameters of training that change nothing about what is trained: candidates that differ in them alone are equal."""


def registered_model(name: str, csv: str) -> str:
    """The registered model of a pipeline run: the one named, else the usual one for its data.

    >>> registered_model("", "s3://faces/fer2013.csv"), registered_model("", "sample:noise=0.3")
    ('facial-expression', 'facial-expression-sample')
    """
    return name or (SAMPLE_MODEL if csv.partition(":")[0] == "sample" else REGISTERED_MODEL)


EPOCH_MACRO_F1: Final = "val/macro_f1"
"""Metric of a candidate in training: macro-F1 on validation, epoch by epoch."""
BEST_MACRO_F1: Final = "best_val/macro_f1"
"""Metric of a trained candidate: macro-F1 on validation at the epoch that is kept. Trials of a search go by it."""
BEST_VALIDATION: Final = {"loss": "best_val/loss", "accuracy": "best_val/accuracy", "macro_f1": BEST_MACRO_F1}
PRUNED_EPOCH: Final = "pruned_epoch"
"""Metric of a pruned trial: after which epoch."""

_PREFIX: Final = {"validation": "eval_val", "test": "test", "test_clean": "test_clean"}


def metric(split: str, name: str, emotion: str = "") -> str:
    """The name of a metric that `evaluate` logs for the exported model, split first.

    One name, one quantity: training's metrics by epoch are under `train/` and `val/`, those of the epoch that is kept
    under `best_val/`.

    >>> metric("validation", "macro_f1"), metric("test", "recall", "disgust")
    ('eval_val/macro_f1', 'test/recall/disgust')

    Args:
        split: `validation`, `test`, or `test_clean`: test rows whose pixels are not among the training rows.
        name: `loss`, `accuracy`, `macro_f1`, `precision`, `recall`, `f1`, `support` and the like.
        emotion: for a metric per class.
    """
    return "/".join((_PREFIX[split], name, emotion) if emotion else (_PREFIX[split], name))


BEST: Final = "best_val"
"""Before the name of a metric on validation at the epoch that is kept: `best_val/macro_f1`."""


def validation_metric(metrics: Mapping[str, float], name: str) -> float | None:
    """A run's metric on validation: the exported model's, else the kept epoch's, else the last epoch's.

    A run of version 0.1 has one name, `val/…`, for all of them; once it is evaluated, that is the exported model's.

    >>> validation_metric({"val/macro_f1": 0.2, "best_val/macro_f1": 0.3}, "macro_f1")
    0.3
    """
    for prefix in (_PREFIX["validation"], BEST, "val"):
        if (value := metrics.get(f"{prefix}/{name}")) is not None:
            return value
    return None


LONGEST_NAME: Final = 250
"""Characters of a run's name: PostgreSQL refuses MLflow's insert of a longer one."""


def cut_name(name: str, longest: int = LONGEST_NAME) -> str:
    """A run's name, no longer than allowed.

    >>> cut_name("lenet-tuned-s0 filters=[32, 64]", 20)
    'lenet-tuned-s0 fi...'
    """
    return name if len(name) <= longest else f"{name[: longest - 3]}..."


def dated_name(about: str) -> str:
    """The name of a run that nobody named: when, so that names sort, and about what: `2026-11-25 18:00 fer2013`."""
    return cut_name(f"{datetime.now(UTC):%Y-%m-%d %H:%M} {about}")


def is_generated(name: str | None) -> bool:
    """Whether a run's name is one that MLflow made up.

    >>> is_generated("worried-robin-823"), is_generated("2026-11-25 18:00 fer2013")
    (True, False)
    """
    return bool(name and GENERATED_NAME.fullmatch(name))
