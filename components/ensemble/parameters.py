"""Parameters of ensemble: whether, and how, the finalists of a run are joined into one model."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ferkit.settings import Settings


class Ensemble(Settings):
    """One model whose probabilities are a mean of several finalists'. It is evaluated and gated like any candidate."""

    section: ClassVar[str] = "ensemble"

    members: int = Field(
        default=3,
        ge=2,
        le=32,
        description="largest number of finalists to join, the best on validation; prediction time and file size "
        "are the sums of theirs",
    )
    weights: Literal["equal", "fitted", "none"] = Field(
        default="equal",
        description="weights of the members' probabilities: `equal`; `fitted` on validation by maximum likelihood "
        "(the metric that selects it is cross-fitted); `none` for no ensemble",
    )
