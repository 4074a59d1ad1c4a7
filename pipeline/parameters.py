"""Every parameter of the pipeline, composed of the steps' sections.

The DAG's defaults, the CLI, the check of a config file and MLproject all take type, default, bounds and help from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator
from pydantic.fields import FieldInfo

from components.balance.parameters import Balance
from components.ensemble.parameters import Ensemble
from components.evaluate.parameters import Evaluate
from components.ingest.parameters import Ingest
from ferkit.addresses import split_address
from ferkit.errors import UserError, nearest
from ferkit.layers import Layer, merge
from ferkit.networks.architectures import find, names
from ferkit.registry.settings import Register
from ferkit.search.settings import Search
from ferkit.search.space import Spaces
from ferkit.settings import Settings
from ferkit.tracking.names import EXPERIMENT, REGISTERED_MODEL, SAMPLE_MODEL
from ferkit.training.candidate import parse_candidate
from ferkit.training.seeds import expand_seeds
from ferkit.training.settings import Train
from ferkit.user_input import shown

LARGEST_CANDIDATES = 120_000
"""Characters of all candidates as JSON: `open_run` gets them in one argument, of which Linux takes 128 kB."""

SECTIONS: dict[str, type[Settings]] = {
    section.section: section for section in (Search, Ingest, Balance, Train, Evaluate, Ensemble, Register)
}


class Parameters(Settings):
    """The settings of a pipeline run: everything that changes a result, and nothing that does not."""

    section: ClassVar[str] = ""

    csv: str = Field(
        default="sample",
        repr=False,
        description="FER2013-style CSV (path, s3://, gs:// or http(s)://; plain, .gz, .zip, .tar.gz), or `sample`",
    )
    candidates: list[dict[str, Any]] = Field(
        default=[{"architecture": "lenet"}, {"architecture": "multi_kernel"}],
        description="what to train: a list of {architecture, seed, any parameter of `train` or of that "
        "architecture}; with `seeds: [0, 1, 2]` in place of `seed` a candidate is trained once for each, as one "
        "group; not used with a search",
    )
    search: Search = Field(default_factory=Search)
    experiment: str = Field(
        default=EXPERIMENT, min_length=1, description="MLflow experiment that the runs are logged to"
    )
    registered_model: str = Field(
        default="",
        pattern="^[^/:@]*$",
        description=f"registered model that the candidates become versions of; empty: {REGISTERED_MODEL}, and for the "
        f"drawn sample {SAMPLE_MODEL}",
    )
    recipe: str = Field(
        default="", description="train.recipe, where Kubeflow's form has a field for it; empty: the value of `train`"
    )
    ingest: Ingest = Field(default_factory=Ingest)
    balance: Balance = Field(default_factory=Balance)
    train: Train = Field(default_factory=Train)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    ensemble: Ensemble = Field(default_factory=Ensemble)
    register_: Register = Field(default_factory=Register, alias="register")

    @field_validator("csv")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty; use a path, an address, or `sample`")
        if value.lower().startswith(("http:", "https:")):
            if "://" not in value[:8]:
                raise ValueError("a web address begins with http:// or https://")
            try:
                split_address(value)
            except UserError as error:
                raise ValueError(str(error)) from None
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """The parameters with `values` (nested, as in a config file) in place of the defaults; every candidate checked.

        Raises:
            UserError: naming the first key that is unknown, with the nearest right one, or whose value does not fit.
        """
        known = cls.names()
        for key in values:
            if key not in known:
                raise UserError(f"{shown(key)[:80]}: no such parameter; {nearest(str(key), known)}")
        today = merge([Layer("", values)], SECTIONS)
        for key, section in SECTIONS.items():
            if key in today:
                if today[key] is None:
                    raise UserError(f"{key}: has nothing behind it; write its `name: value` lines, or leave {key} out")
                today[key] = section.rename(today[key])
                section.parse(today[key])
        if isinstance(candidates := today.get("candidates"), list):
            today["candidates"] = [Train.rename(one) if isinstance(one, Mapping) else one for one in candidates]
        parsed = super().parse(_without_candidates(today))
        if parsed.recipe:
            told = parsed.train.recipe if "recipe" in parsed.train.model_fields_set else parsed.recipe
            if told != parsed.recipe:
                raise UserError(f"recipe: {parsed.recipe}, but train.recipe is {told}; set one of them")
            train = Train.parse({**parsed.train.model_dump(exclude_unset=True), "recipe": parsed.recipe})
            parsed = parsed.model_copy(update={"recipe": "", "train": train})
        if parsed.search.is_on:
            Spaces.parse(parsed.search, parsed.train.model_dump())
        elif not parsed.candidates:
            raise UserError("candidates: the list is empty; use at least one, such as {architecture: lenet}")
        for number, candidate in enumerate(parsed.candidates):
            try:
                for seeded in expand_seeds(candidate):
                    parse_candidate(seeded, parsed.train.model_dump())
            except UserError as error:
                raise UserError(f"candidates[{number}]: {error}") from None
        if (size := len(json.dumps(parsed.candidates))) > LARGEST_CANDIDATES:
            raise UserError(
                f"candidates: {len(parsed.candidates):,} of them take {size / 1000:,.0f} kB, and a step gets at most "
                f"{LARGEST_CANDIDATES // 1000} kB of them; put what all share under train, or start several runs"
            )
        return parsed

    def dump(self) -> dict[str, Any]:
        """Everything, defaults included, as JSON types: the DAG's arguments, and what `parse` reads back.

        What is left open (None) is left out: kfp has no such value.
        """
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        for candidate in values["candidates"]:
            for key in [key for key, value in candidate.items() if value is None]:
                del candidate[key]
        return values


def _without_candidates(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values, without the usual candidates where there is a search.

    Raises:
        UserError: both are set.
    """
    if not (values.get("search") or {}).get("space"):
        return values
    if values.get("candidates"):
        raise UserError(
            "candidates: a search takes their place; take them out, and put what all trials share into `train`, or as "
            "single values into search.space"
        )
    return {**values, "candidates": []}


def describe() -> Iterable[tuple[str, FieldInfo]]:
    """Every parameter as (dotted name, definition), in reading order."""
    for name, field in Parameters.model_fields.items():
        section = field.alias or name
        if section in SECTIONS:
            for inner, definition in SECTIONS[section].model_fields.items():
                yield f"{section}.{inner}", definition
        else:
            yield section, field


def describe_candidates() -> Iterable[tuple[str, str, FieldInfo]]:
    """What a candidate may set beside the parameters of `train`, as (architecture, name, definition)."""
    for architecture in names():
        for name, field in find(architecture).NetworkSettings.model_fields.items():
            yield architecture, name, field
