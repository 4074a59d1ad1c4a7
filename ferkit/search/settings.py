"""The section `search` of a config: what is searched, how, and how many trainings it may take."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from ferkit.settings import Settings

MOST_TRIALS = 3000
"""Run ids that fit into one argument of a step."""


class Search(Settings):
    """A search takes the place of `candidates`; with an empty space there is none."""

    section: ClassVar[str] = "search"

    method: Literal["grid", "random", "tpe"] = Field(
        default="tpe",
        description="`grid`: every point of the space; `random`: random points; `tpe`: each trial is decided when "
        "it starts, from the scores of the others (tree-structured Parzen estimator, Bergstra et al., 2011)",
    )
    trials: int = Field(
        default=20, ge=1, le=MOST_TRIALS, description="largest number of trainings; a grid with more points is refused"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="seed of the draws; the trainings use train.seed")
    space: list[dict[str, Any]] = Field(
        default=[],
        description="search space, empty for no search: for each parameter of `train` or of an architecture, and "
        "for `architecture` itself, a list of values, {low, high, log, step}, or one fixed value; or a list of "
        "such spaces",
    )
    finalists: int = Field(
        default=3,
        ge=1,
        le=MOST_TRIALS,
        description="number of trials, the best on validation, that are evaluated and registered",
    )
    prune: bool = Field(
        default=True,
        description="end a trial early that is among the worst quarter on validation, from a third of its epochs "
        "on, once five have finished",
    )

    @field_validator("space", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        """One space is a list of one."""
        return ([value] if value else []) if isinstance(value, dict) else value

    @property
    def is_on(self) -> bool:
        """Whether there is anything to search."""
        return bool(self.space)
