"""The entry points of MLproject and their parameters, taken from the steps' own definitions.

`mlflow run` knows no optional parameters: one that is declared has a value, and MLflow logs it, also an empty one. But
it passes on whatever else is set (`-P name=value`). So MLproject declares the required ones alone; the others stand in
it as comments, with their real defaults, and have those unless they are set.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from components.balance.parameters import Balance
from components.ensemble.parameters import Ensemble
from components.evaluate.parameters import Evaluate
from components.ingest.parameters import Ingest
from ferkit.registry.settings import Register
from ferkit.search.settings import Search
from ferkit.settings import Settings
from ferkit.training.settings import Train

REQUIRED = object()


@dataclass(frozen=True)
class EntryPoint:
    """One entry point.

    Attributes:
        name: as `mlflow run -e` takes it.
        own: parameters of the entry point itself: `REQUIRED`, or what one means that may be left out.
        section: the step's parameters, all of which it takes too.
    """

    name: str
    own: Mapping[str, Any]
    section: type[Settings] | None = None

    def parameters(self) -> dict[str, Any]:
        """Every parameter: `REQUIRED`, or what it means."""
        return {**self.own, **{name: _meaning(self.section, name) for name in self._names()}}

    @property
    def required(self) -> list[str]:
        """The parameters that have no default."""
        return [name for name, meaning in self.own.items() if meaning is REQUIRED]

    def _names(self) -> Iterable[str]:
        return self.section.names() if self.section else ()


def _meaning(section: type[Settings] | None, name: str) -> str:
    """What a step's parameter means, and its real default."""
    assert section is not None
    field = section.model_fields[name]
    default = field.get_default(call_default_factory=True)
    return f"{field.description}{'' if default is None else f' (default {json.dumps(default)})'}"


_CSV = "path, s3:// or http(s)://, or `sample` (default)"
_CONFIG = "YAML with any of the pipeline's parameters (default configs/sample.yaml for the sample)"


ENTRY_POINTS = {
    entry.name: entry
    for entry in (
        EntryPoint("main", {"csv": _CSV, "config": _CONFIG}),
        EntryPoint("search", {"csv": _CSV, "config": "YAML with a search (default configs/search.yaml)"}, Search),
        EntryPoint("ingest", {"csv": REQUIRED, "output": REQUIRED}, Ingest),
        EntryPoint("balance", {"data": REQUIRED, "output": REQUIRED}, Balance),
        EntryPoint(
            "train",
            {
                "data": REQUIRED,
                "architecture": REQUIRED,
                "state_dir": "folder of the training state, for a killed training to resume from (default: none)",
            },
            Train,
        ),
        EntryPoint("evaluate", {"data": REQUIRED, "run_id": REQUIRED}, Evaluate),
        EntryPoint("ensemble", {"data": REQUIRED, "run_ids": REQUIRED}, Ensemble),
        EntryPoint(
            "register",
            {
                "data": REQUIRED,
                "run_ids": REQUIRED,
                "registered_model": "that they become versions of (default facial-expression, or "
                "facial-expression-sample for the drawn sample)",
            },
            Register,
        ),
    )
}


def mlproject() -> dict[str, Any]:
    """The contents of MLproject."""
    return {
        "name": "fer-pipeline",
        "python_env": "mlflow_project/python_env.yaml",
        "entry_points": {
            entry.name: {
                "parameters": dict.fromkeys(entry.required, "string"),
                "command": " ".join(
                    [f"python -m mlflow_project {entry.name}", *(f"--{name} {{{name}}}" for name in entry.required)]
                ),
            }
            for entry in ENTRY_POINTS.values()
        },
    }


def mlproject_text() -> str:
    """MLproject as it lies in the repository: what each parameter means stands in it, too."""
    lines = [
        "# Written by `make mlproject` from the steps' parameters; a test holds the two together.",
        "# Those in comments may be left out; all are set by -P name=value. `main` and `search` take every parameter",
        "# that `ferpipe run --help` lists, by its dotted name: -P train.epochs=3.",
    ]
    head = {key: value for key, value in mlproject().items() if key != "entry_points"}
    lines += [*yaml.safe_dump(head, sort_keys=False).splitlines(), "entry_points:"]
    for entry in ENTRY_POINTS.values():
        described = mlproject()["entry_points"][entry.name]
        lines += [f"  {entry.name}:", f"    parameters:{'' if entry.required else ' {}'}"]
        lines += [f"      {name}: {kind}" for name, kind in described["parameters"].items()]
        for name, meaning in entry.parameters().items():
            if meaning is not REQUIRED:
                lines += textwrap.wrap(
                    f"{name}: {meaning}", 112, initial_indent="      # ", subsequent_indent="      #     "
                )
        lines.append(f"    command: {described['command']}")
    return "\n".join(lines) + "\n"
