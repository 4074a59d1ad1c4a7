"""What a person sees first in the MLflow UI: an experiment of model training, and a saved view of its candidates.

The runs table shows no figures until somebody picks columns. A saved view is an experiment tag (MLflow 3.17 keeps those
made by hand in the same form), so ours is there from the first run on: under "Views", and by an address.
"""

from __future__ import annotations

import json
from typing import Final

from ferkit.tracking import names
from ferkit.tracking.names import metric

VIEW: Final = "candidates"
_NAME: Final = "Candidates side by side"
_COLUMNS: Final = (
    metric("test", "accuracy"),
    metric("test", "macro_f1"),
    metric("test", "worst_recall"),
    metric("test_clean", "macro_f1"),
    metric("validation", "macro_f1"),
    "images_per_second",
)
_MADE_AT: Final = 1_767_225_600_000  # milliseconds; any fixed moment: the tag is the same whoever writes it

EXPERIMENT_TAGS: Final = {
    "mlflow.experimentKind": "custom_model_development",
    f"mlflow.sharedViewState.{VIEW}": json.dumps(
        {
            "name": _NAME,
            "createdAt": _MADE_AT,
            "updatedAt": _MADE_AT,
            "state": json.dumps(
                {
                    "searchFilter": f"tags.`{names.RUN_KIND}` = 'candidate'",
                    "orderByKey": f"metrics.`{metric('validation', 'macro_f1')}`",
                    "orderByAsc": False,
                    "selectedColumns": ["attributes.`Models`", *(f"metrics.`{column}`" for column in _COLUMNS)],
                }
            ),
        }
    ),
}
"""Tags of a new experiment."""


def view_path(experiment_id: str) -> str:
    """The path of the saved view in the MLflow UI, to append to its address."""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW}"
