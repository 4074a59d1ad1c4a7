"""Where a run's parameters come from: defaults, environment, config file, command line; and what `--explain` says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ferkit.addresses import without_secrets
from ferkit.errors import UserError, nearest
from ferkit.layers import Layer, merge, source_of
from ferkit.registry.settings import Register
from ferkit.store_errors import is_out_of_reach
from ferkit.training.candidate import candidate_layers, parse_candidate
from ferkit.training.seeds import SEEDS, expand_seeds
from ferkit.training.settings import Train
from ferkit.user_input import read_text, shown, split_assignment
from ferkit.yaml_input import read_yaml
from pipeline.parameters import SECTIONS, Parameters, describe

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
"""The configs that come with the package."""

SAMPLE_CONFIG = CONFIGS / "sample.yaml"
SEARCH_CONFIG = CONFIGS / "search.yaml"

OF_A_RUN = "runs:/"
"""Begins the address of a config among an MLflow run's artifacts: a search's best trial."""


def read_parameters(
    csv: str | None, config: Path | None, assignments: Iterable[str] = (), usual: Path = SAMPLE_CONFIG
) -> Parameters:
    """The parameters of a run, see `layers_of`.

    A config file's `cluster` section says where steps run on Kubeflow (pipeline/cluster.py) and is no parameter.

    Raises:
        UserError: as `Parameters.parse`; or an assignment that no candidate would use.
    """
    return parse_layers(layers_of(csv, config, assignments, usual))


def layers_of(
    csv: str | None, config: Path | None, assignments: Iterable[str] = (), usual: Path = SAMPLE_CONFIG
) -> list[Layer]:
    """What is said of the parameters, lowest first: environment, config file, `--csv`, `--set name=value` one by one.

    The drawn sample comes with a config of its own (`usual`; configs/sample.yaml: small networks, a minute each), which
    holds for the sample where no config is named. `KERAS_BACKEND`, as everywhere with Keras, chooses the backend where
    nothing else does.

    Raises:
        UserError: there is no such config, or an assignment that is none.
    """
    set_here = [Layer(f"--set {_seen(assignment)[:80]}", read_assignment(assignment)) for assignment in assignments]
    chosen = ([Layer("--csv", {"csv": csv})] if csv is not None else []) + set_here
    layers = []
    if backend := os.environ.get("KERAS_BACKEND"):
        layers.append(Layer("KERAS_BACKEND", {"train": {"backend": backend}}))
    said = merge(chosen, SECTIONS)
    if config:
        layers.append(Layer(_short(config), read_config(config)))
    elif said.get("csv") in (None, "sample"):
        values = read_config(usual)
        if (said.get("search") or {}).get("space"):
            values.pop("candidates", None)  # the defaults of `run`
        layers.append(Layer(_short(usual), values))
    return layers + chosen


def parse_layers(layers: Sequence[Layer]) -> Parameters:
    """The parameters of merged layers, in which every `--set` makes a difference to some candidate.

    Raises:
        UserError: as `Parameters.parse`; or an assignment that no candidate would use.
    """
    values = merge(layers, SECTIONS)
    values.pop("cluster", None)
    parameters = Parameters.parse(values)
    for layer in layers:
        if not layer.source.startswith("--set"):
            continue
        for name in Train.rename(layer.values.get(Train.section) or {}):
            searched = parameters.search.space
            candidates = searched or [expand_seeds(candidate)[0] for candidate in parameters.candidates]
            if any(one.get(name) is None for one in candidates):
                continue
            if searched:
                raise UserError(f"train.{name}: search.space sets {name} itself, which goes before this; take one out")
            raise UserError(
                f"train.{name}: every candidate sets {name} itself, which goes before this; take it out of the "
                "candidates, or use other ones: candidates=[{architecture: lenet, ...}]"
            )
    return parameters


class Explained(NamedTuple):
    """One parameter's value, and the source that it came from."""

    name: str
    value: Any
    source: str


def explain(layers: Sequence[Layer]) -> Iterator[Explained]:
    """Every parameter, then every setting of every candidate, with where each value came from.

    Raises:
        UserError: as `parse_layers`.
    """
    parameters = parse_layers(layers)
    values = parameters.dump()
    today = [Layer(layer.source, _rename(layer.values)) for layer in layers]
    for name, _ in describe():
        section, dot, inner = name.partition(".")
        if section == "candidates" or (section == Train.section and not parameters.search.is_on):
            continue
        value = values[section].get(inner) if dot else values[section]
        if value is None:  # the recipe decides, for each trial
            continue
        shown_value = without_secrets(value) if name == "csv" else value
        yield Explained(name, shown_value, source_of(today, name, SECTIONS) or "default")
    for number, written in enumerate(parameters.candidates):
        candidate, *others = expand_seeds(written)
        if others:
            yield Explained(f"candidates[{number}].seeds", written[SEEDS], source_of(today, "candidates") or "default")
        stack = candidate_layers(candidate, parameters.train.model_dump(exclude_unset=True))
        for key, value in parse_candidate(candidate, parameters.train.model_dump()).dump().items():
            if others and key == "seed":
                continue
            source = source_of(stack, key) or "default"
            if source == Train.section:
                source = source_of(today, f"train.{key}", SECTIONS)
            elif source == "candidate":
                source = source_of(today, "candidates") or "default"
            yield Explained(f"candidates[{number}].{key}", value, source)


def read_config(path: Path) -> dict[str, Any]:
    """A config file: YAML in the form of `Parameters`, or a part of it; what is left out keeps its default.

    Args:
        path: of the file, or `runs:/RUN_ID/search/best.yaml` in the MLflow that is connected to.

    Raises:
        UserError: there is no such file, or it is not YAML of that form.
    """
    if str(path).startswith(OF_A_RUN):
        text = _read_of_a_run(str(path))
    else:
        text = read_text(path, "use a config file such as configs/quick.yaml")
    values = read_yaml(text, shown(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f"{shown(path)}: a config file holds `name: value` lines (received {type(values).__name__})")
    return values


def _read_of_a_run(address: str) -> str:
    import mlflow
    from mlflow.artifacts import load_text

    from ferkit.tracking.short_ids import with_whole_id

    try:
        return load_text(with_whole_id(mlflow.MlflowClient(), address))
    except (mlflow.MlflowException, OSError) as error:
        if isinstance(error, mlflow.MlflowException) and is_out_of_reach(error):
            raise
        said = error.message if isinstance(error, mlflow.MlflowException) else str(error)
        raise UserError(f"{shown(address)}: not in this MLflow ({said}); use runs:/RUN_ID/search/best.yaml") from None


def read_assignment(assignment: str) -> dict[str, Any]:
    """One `name=value` of the command line, nested; the value is read as YAML.

    >>> read_assignment("train.epochs=3")
    {'train': {'epochs': 3}}

    Raises:
        UserError: no `=` in it, no such parameter, or a value that is not YAML.
    """
    name, text = split_assignment(assignment, "train.epochs=3")
    section, dot, inner = name.partition(".")
    known = [dotted for dotted, _ in describe()]
    if name not in known and not (dot and section in SECTIONS and inner in SECTIONS[section].renamed):
        raise UserError(f"{shown(without_secrets(name))[:80]}: no such parameter; {nearest(name, known)}")
    value = read_yaml(text, name)
    return {section: {inner: value}} if dot else {section: value}


def read_policy(assignments: Iterable[str]) -> Register:
    """The gate's policy with `name=value` assignments in place of its defaults; `register.` may be left away.

    Raises:
        UserError: an assignment that is none, or a value that does not fit.
    """
    section = Register.section
    full = [written if written.startswith(f"{section}.") else f"{section}.{written}" for written in assignments]
    asked = merge([Layer(assignment, read_assignment(assignment)) for assignment in full], SECTIONS)
    return Register.parse(asked.get(section, {}))


def _rename(values: Any) -> dict[str, Any]:
    """A layer's values under the names of today."""
    return {
        key: SECTIONS[key].rename(value) if key in SECTIONS and value is not None else value
        for key, value in values.items()
    }


def _seen(assignment: str) -> str:
    """An assignment as people may see it: an address in it without secrets."""
    name, equals, text = assignment.partition("=")
    return shown(f"{name}{equals}{without_secrets(text)}")


def _short(path: Path) -> str:
    return f"configs/{path.name}" if path.parent == CONFIGS else shown(path)
