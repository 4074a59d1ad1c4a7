"""Parameters of evaluate. Metrics have none: what they are is in ferkit/metrics/classification.py."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ferkit.settings import Settings


class Evaluate(Settings):
    """How a trained candidate is scored on validation, test and the test rows that are not among the training rows."""

    section: ClassVar[str] = "evaluate"

    test: bool = Field(
        default=True,
        description="read the test split; false for ablations and tuning, whose tables then show validation "
        "alone, and which register nothing",
    )
    resamples: int = Field(
        default=10_000,
        ge=100,
        le=1_000_000,
        description="bootstrap resamples of every 95% interval; 10,000 take a tenth of a second",
    )
    seed: int = Field(default=0, ge=0, description="seed of the bootstrap and of the choice of faces to show")
    mistakes: int = Field(
        default=24, ge=1, le=100, description="number of the most confident mistakes on test to show as pictures"
    )
