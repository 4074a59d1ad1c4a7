"""What a person can say about balancing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from components.balance.techniques import TECHNIQUES
from ferkit.errors import nearest
from ferkit.settings import Renamed, Settings


class Balance(Settings):
    """How the classes of the training split are balanced; validation and test are never touched."""

    section: ClassVar[str] = "balance"
    renamed: ClassVar[Mapping[str, Renamed]] = {
        "strategy": Renamed("strategy", {"augment": "augmented_oversampling"}),
    }

    strategy: Literal["augmented_oversampling", "oversample", "class_weight", "none"] = Field(
        default="augmented_oversampling",
        description="augmented_oversampling: new faces augmented from rare ones; oversample: copies of them; "
        "class_weight: no new faces, rare ones weigh more in the loss; none: unchanged",
    )
    per_class: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="faces per emotion after augmented_oversampling or oversample; 0: as many as the most "
        "frequent emotion has. No face is ever dropped. Training time grows with it",
    )
    mix: dict[str, float] = Field(
        default=dict.fromkeys(TECHNIQUES, 1.0),
        min_length=1,
        description=f"shares of the techniques ({', '.join(TECHNIQUES)}) in augmented_oversampling, "
        "relative to each other; one left out is not used",
    )
    rotation: int = Field(
        default=45, ge=1, le=180, description="largest angle of the technique rotation in degrees, to either side"
    )
    blur: tuple[float, float] = Field(
        default=(0.5, 1.5), description="smallest and largest sigma of the technique blur in pixels, 0.3 to 3"
    )
    salt: float = Field(
        default=0.05, gt=0, le=0.5, description="fraction of pixels that the technique salt turns white"
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        description="seed of every random choice; results are the same on any number of cores",
    )

    @field_validator("mix")
    @classmethod
    def _known_shares(cls, mix: dict[str, float]) -> dict[str, float]:
        for name, share in mix.items():
            if name not in TECHNIQUES:
                raise ValueError(f"no such technique {name!r}; {nearest(name, TECHNIQUES)}")
            if share < 0:
                raise ValueError(f"the share of {name} must be 0 or more")
        if not sum(mix.values()):
            raise ValueError("at least one technique needs a share above 0")
        return mix

    @field_validator("blur")
    @classmethod
    def _rising_range(cls, blur: tuple[float, float]) -> tuple[float, float]:
        if not 0.3 <= blur[0] <= blur[1] <= 3:
            raise ValueError("use [smallest, largest] sigma with 0.3 <= smallest <= largest <= 3")
        return blur
