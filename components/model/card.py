"""The prose of the model card: what the data is like, what the model is for, and where it ends.

The form is that of Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.faces import Profile
from components.model.evaluation import Evaluation


def sections(data: Profile, evaluation: Evaluation | None, challenger: Mapping[str, Any]) -> list[str]:
    """The card's sections, as HTML.

    Args:
        data: what the model was trained on.
        evaluation: of the challenger.
        challenger: `version` and `name`.
    """
    return []
