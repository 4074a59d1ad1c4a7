"""Names under which everything is found in MLflow: experiment, registered model, tags, metrics."""

from typing import Final

EXPERIMENT: Final = "facial-expression"
REGISTERED_MODEL: Final = "facial-expression"

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"

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
ARCHITECTURE: Final = "architecture"
CANDIDATE_ID: Final = "candidate_id"
GROUP: Final = "group"
"""Of candidates that differ in their seed alone: what they have in common."""
IMAGE: Final = "image"
PIPELINE_VERSION: Final = "pipeline.version"
RUN_KIND: Final = "run.kind"
"""`pipeline` on a parent run, `candidate` on its children, `ledger` on the record of promotions."""
FAILURE: Final = "failure"
"""The sentence with which a run failed."""
FAILURE_KIND: Final = "failure.kind"
"""What kind of failure that was: the exception's class."""
OWNER: Final = "owner.id"
"""Of a parent: who runs it, for finding it. Who owns it is decided by its parameters `owner/<n>`: see owner.py."""
BEAT: Final = "owner.beat"
"""Of a parent that runs on some machine: a number that grows while its owner lives."""
CLOSED_BY: Final = "closed.by"
"""Of a parent that has ended: the id of the owner that ended it, who may open it again."""
COMPLETED: Final = "pipeline.completed"
"""Of a parent: its last step has done its work. What the backend says of the run's end counts less than this."""
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
were fitted without it. It takes the place of the validation figure wherever that chooses."""


class State:
    """How far a candidate is: the values of its tag `STATE`."""

    WAITING: Final = "waiting"
    RUNNING: Final = "running"
    TRAINED: Final = "trained"
    PRUNED: Final = "pruned"
    FAILED: Final = "failed"
    EVALUATED: Final = "evaluated"


_PREFIX: Final = {"train": "train", "validation": "val", "test": "test", "test_clean": "test_clean"}


def metric(split: str, name: str, emotion: str = "") -> str:
    """The name of a metric, split first.

    >>> metric("validation", "macro_f1"), metric("test", "recall", "disgust")
    ('val/macro_f1', 'test/recall/disgust')

    Args:
        split: `train`, `validation`, `test`, or `test_clean`: test rows whose pixels are not among the training rows.
        name: `loss`, `accuracy`, `macro_f1`, `precision`, `recall`, `f1`, `support` and the like.
        emotion: for a figure per class.
    """
    return "/".join(part for part in (_PREFIX[split], name, emotion) if part)
