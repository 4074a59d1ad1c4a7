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
        description="`grid`: every point of the space; `random`; `tpe`: each trial is decided when it starts, by what "
        "the others came to (tree-structured Parzen estimator, Bergstra et al., 2011)",
    )
    trials: int = Field(
        default=20, ge=1, le=MOST_TRIALS, description="trainings at most; a grid with more points is refused"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="of the draws; the trainings have train.seed")
    space: list[dict[str, Any]] = Field(
        default=[],
        description="what is searched, empty for no search: by parameter of `train` or of an architecture, and "
        "`architecture` itself, a list of values, {low, high, log, step}, or one fixed value; or a list of such spaces",
    )
    finalists: int = Field(
        default=3, ge=1, le=MOST_TRIALS, description="trials, best on validation, that are evaluated and registered"
    )
    prune: bool = Field(
        default=True,
        description="whether a trial ends early that is among the worst quarter on validation, from a third of its "
        "epochs on, once five have finished",
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
