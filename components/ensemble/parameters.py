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
        description="finalists to join at most, the best on validation; its time and its file are the sum of theirs",
    )
    weights: Literal["equal", "fitted", "none"] = Field(
        default="equal",
        description="of the members' probabilities: `equal`, `fitted` to validation by maximum likelihood (its metric "
        "for choosing is cross-fitted), or `none` for no ensemble",
    )
