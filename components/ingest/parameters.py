"""Parameters of ingest."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ferkit.settings import Settings


class Ingest(Settings):
    """Parameters of ingest."""

    section: ClassVar[str] = "ingest"

    duplicates: Literal["drop_from_train", "keep", "report"] = Field(
        default="drop_from_train",
        description="identical pixels: `drop_from_train` removes training rows that occur in validation or test, "
        "and repeats within train; `keep` keeps all (comparable with published results); `report` keeps and lists "
        "all",
    )
    reject_constant: bool = Field(default=True, description="reject faces of one single grey level")
    max_rejected_fraction: float = Field(
        default=0.1, ge=0, le=1, description="largest fraction of rejected rows, 0..1; with more of them ingest fails"
    )
    split_by: Literal["usage", "seed"] = Field(
        default="usage",
        description="`usage`: by the column Usage, where the CSV has one; `seed`: at random by split_seed, "
        "whatever Usage says (for a CSV whose Usage is empty or means something else)",
    )
    validation_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="fraction of the faces for validation, 0..1; used only where faces are split by seed",
    )
    test_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="fraction of the faces for test, 0..1; used only where faces are split by seed",
    )
    split_seed: int = Field(
        default=0, ge=0, description="seed of the random split; used only where faces are split by seed"
    )

    @model_validator(mode="after")
    def _leave_some_for_train(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction must add up to less than 1, or train is empty")
        return self
