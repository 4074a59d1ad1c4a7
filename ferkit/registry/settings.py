"""Parameters of register: the policy of the gate."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ferkit.settings import Settings


class Register(Settings):
    """When a version may become champion. Differences are challenger minus champion, on the same test rows."""

    section: ClassVar[str] = "register"

    comparison: Literal["non_inferiority", "superiority"] = Field(
        default="non_inferiority",
        description="test of a challenger against the champion: not worse by more than the allowed loss "
        "(non_inferiority), or better (superiority: the interval lies above 0)",
    )
    allowed_loss: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="macro-F1 that a challenger may lose, 0..1; on FER2013's 3,589 test rows the interval reaches "
        "about 0.02 to either side, so a smaller loss requires a challenger that is really better",
    )
    allowed_recall_loss: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="recall that a challenger may lose on any one class, 0..1; a class counts as ruined when its "
        "whole interval lies below",
    )
    floor_macro_f1: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="smallest macro-F1 on test that is approved, champion or none, 0..1; always predicting "
        "`happy` scores 0.06, a network of the notebook's size after a full training over 0.5",
    )
    floor_recall: float = Field(
        default=0.15,
        ge=0,
        le=1,
        description="smallest recall of every class on test that is approved, 0..1; guessing among seven classes "
        "scores 0.14",
    )
    confidence: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="confidence level of the two-sided intervals; (1 - confidence) / 2 is the stated error rate: "
        "how often a model that loses just the allowed loss is approved, and how often a sound one is said to "
        "have ruined a class",
    )
    resamples: int = Field(
        default=10_000,
        ge=1_000,
        le=1_000_000,
        description="bootstrap resamples; 10,000 of 3,589 rows take under a second",
    )
    seed: int = Field(default=0, ge=0, description="seed of the bootstrap")
