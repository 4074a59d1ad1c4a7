"""Every parameter of the pipeline, composed of the steps' sections.

The DAG's defaults, the CLI, the check of a config file and MLproject all take type, default, bounds and help from here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator
from pydantic.fields import FieldInfo

from components.balance.parameters import Balance
from components.evaluate.parameters import Evaluate
from components.ingest.parameters import Ingest
from ferkit.addresses import split_address
from ferkit.errors import UserError, nearest
from ferkit.networks.architectures import find, names
from ferkit.registry.settings import Register
from ferkit.settings import Settings
from ferkit.tracking.names import EXPERIMENT
from ferkit.training.candidate import parse_candidate
from ferkit.training.settings import Train
from ferkit.user_input import read_text, read_yaml, shorten, shown

SECTIONS: dict[str, type[Settings]] = {
    section.section: section for section in (Ingest, Balance, Train, Evaluate, Register)
}


class Parameters(Settings):
    """What a pipeline run is asked to do: everything that changes a result, and nothing that does not."""

    section: ClassVar[str] = ""

    csv: str = Field(
        default="sample",
        description="FER2013-style CSV (path, s3:// or http(s)://; plain, .gz, .zip, .tar.gz), or `sample`",
    )
    candidates: list[dict[str, Any]] = Field(
        default=[{"architecture": "lenet"}, {"architecture": "multi_kernel"}],
        min_length=1,
        description="what to train: a list of {architecture, seed, any parameter of `train` or of that architecture}",
    )
    experiment: str = Field(default=EXPERIMENT, min_length=1, description="MLflow experiment")
    ingest: Ingest = Field(default_factory=Ingest)
    balance: Balance = Field(default_factory=Balance)
    train: Train = Field(default_factory=Train)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    register_: Register = Field(default_factory=Register, alias="register")

    @field_validator("csv")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty; give a path, an address, or `sample`")
        if value.startswith(("http://", "https://")):
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
        for key, value in values.items():
            if key not in known:
                raise UserError(f"{shown(key)[:80]}: no such parameter; {nearest(str(key), known)}")
            if key in SECTIONS:
                if not isinstance(value, Mapping):
                    raise UserError(f"{key}: a section takes `name: value` lines (received {shorten(value)})")
                SECTIONS[key].parse(value)
        parsed = super().parse(values)
        for number, candidate in enumerate(parsed.candidates):
            try:
                parse_candidate(candidate, parsed.train.model_dump())
            except UserError as error:
                raise UserError(f"candidates[{number}]: {error}") from None
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


SAMPLE_CONFIG = Path(__file__).resolve().parent.parent / "configs" / "sample.yaml"


def read_parameters(csv: str | None, config: Path | None, assignments: Iterable[str] = ()) -> Parameters:
    """The parameters that a person asked for: a config file, then a CSV, then single `name=value` assignments.

    A config file's `cluster` section says where steps run on Kubeflow (pipeline/cluster.py) and is no parameter.

    Raises:
        UserError: as `Parameters.parse`; or an assignment that no candidate would heed.
    """
    assignments = tuple(assignments)
    values = read_values(csv, config, assignments)
    values.pop("cluster", None)
    return parse_heeded(values, assignments)


def parse_heeded(values: Mapping[str, Any], assignments: Iterable[str]) -> Parameters:
    """The parameters of `values`, in which every one of the `assignments` makes a difference to some candidate.

    Raises:
        UserError: as `Parameters.parse`; or an assignment that no candidate would heed.
    """
    parameters = Parameters.parse(values)
    for assignment in assignments:
        section, _, name = assignment.partition("=")[0].partition(".")
        if section == Train.section and all(candidate.get(name) is not None for candidate in parameters.candidates):
            raise UserError(
                f"train.{name}: every candidate gives {name} itself, which goes before this; take it out of the "
                "candidates, or give other ones: candidates=[{architecture: lenet, ...}]"
            )
    return parameters


def read_values(csv: str | None, config: Path | None, assignments: Iterable[str] = ()) -> dict[str, Any]:
    """What a config file says, unchecked, with the CSV and the `name=value` assignments given beside it.

    The drawn sample comes with a config of its own (configs/sample.yaml: small networks, a minute each), which holds
    for the sample where no config is given. `KERAS_BACKEND`, as everywhere with Keras, chooses the backend where the
    config does not.
    """
    of_csv, others = [], []
    for assignment in assignments:
        (of_csv if assignment.startswith("csv=") else others).append(assignment)
    given: dict[str, Any] = {"csv": csv} if csv is not None else {}
    for assignment in of_csv:
        put_in(given, assignment)
    if config is None and given.get("csv") in (None, "sample") and SAMPLE_CONFIG.exists():
        config = SAMPLE_CONFIG
    values = (read_config(config) if config else {}) | given
    train = values.get("train") or {}
    if (backend := os.environ.get("KERAS_BACKEND")) and isinstance(train, dict):
        values["train"] = {"backend": backend, **train}
    for assignment in others:
        put_in(values, assignment)
    return values


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
    """What a candidate may give beside the parameters of `train`, as (architecture, name, definition)."""
    for architecture in names():
        for name, field in find(architecture).Parameters.model_fields.items():
            yield architecture, name, field


def read_config(path: Path) -> dict[str, Any]:
    """A config file: YAML in the form of `Parameters`, given in part; what is left out keeps its default.

    Raises:
        UserError: there is no such file, or it is not YAML of that form.
    """
    values = read_yaml(read_text(path, "give a config file such as configs/quick.yaml"), shown(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{shown(path)}: a config file holds `name: value` lines (received {type(values).__name__})")
    return values


def put_in(values: dict[str, Any], assignment: str) -> None:
    """Puts one `name=value` of the command line into the nested `values`; the value is read as YAML.

    >>> values = {}; put_in(values, "train.epochs=3"); put_in(values, "candidates=[{architecture: lenet}]"); values
    {'train': {'epochs': 3}, 'candidates': [{'architecture': 'lenet'}]}

    Raises:
        UserError: no `=` in it, no such parameter, or a value that is not YAML.
    """
    name, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(f"{shorten(assignment)}: write name=value, such as train.epochs=3")
    known = [dotted for dotted, _ in describe()]
    if name not in known:
        raise UserError(f"{shown(name)[:80]}: no such parameter; {nearest(name, known)}")
    value = read_yaml(text, name)
    section, dot, inner = name.partition(".")
    if dot:
        there = values.get(section) or {}
        if not isinstance(there, Mapping):
            raise UserError(f"{section}: takes `name: value` lines (received {shorten(there)})")
        values[section] = {**there, inner: value}
    else:
        values[section] = value
