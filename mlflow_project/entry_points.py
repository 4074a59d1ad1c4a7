"""The entry points of MLproject and their parameters, taken from the steps' own definitions.

`mlflow run` knows no optional parameters: one that may be left out has the default `""` there, which means "not given"
here, so that its real default stays in one place.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
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
        own: parameters of the entry point itself, with their MLproject default or `REQUIRED`.
        section: the step's parameters, all of which it takes too.
    """

    name: str
    own: Mapping[str, Any]
    section: type[Settings] | None = None

    def parameters(self) -> dict[str, Any]:
        """Every parameter with its MLproject default, or `REQUIRED`."""
        return {**self.own, **dict.fromkeys(self.section.names() if self.section else (), "")}


ENTRY_POINTS = {
    entry.name: entry
    for entry in (
        EntryPoint("main", {"csv": "", "config": ""}),
        EntryPoint("search", {"csv": "", "config": ""}, Search),
        EntryPoint("ingest", {"csv": REQUIRED, "output": REQUIRED}, Ingest),
        EntryPoint("balance", {"data": REQUIRED, "output": REQUIRED}, Balance),
        EntryPoint("train", {"data": REQUIRED, "architecture": REQUIRED, "state_dir": ""}, Train),
        EntryPoint("evaluate", {"data": REQUIRED, "run_id": REQUIRED}, Evaluate),
        EntryPoint("ensemble", {"data": REQUIRED, "run_ids": REQUIRED}, Ensemble),
        EntryPoint("register", {"data": REQUIRED, "run_ids": REQUIRED, "registered_model": ""}, Register),
    )
}


def mlproject() -> dict[str, Any]:
    """The contents of MLproject."""
    return {
        "name": "fer-pipeline",
        "python_env": "mlflow_project/python_env.yaml",
        "entry_points": {
            entry.name: {
                "parameters": {
                    name: {"type": "string"} if default is REQUIRED else {"type": "string", "default": default}
                    for name, default in entry.parameters().items()
                },
                "command": " ".join(
                    [f"python -m mlflow_project {entry.name}", *(f"--{name} {{{name}}}" for name in entry.parameters())]
                ),
            }
            for entry in ENTRY_POINTS.values()
        },
    }


def mlproject_text() -> str:
    """MLproject as it lies in the repository: what each parameter means stands beside it."""
    lines = [
        "# Written by `make mlproject` from the steps' parameters; a test holds the two together.",
        "# A parameter whose default is '' keeps the default that is named beside it.",
    ]
    head = {key: value for key, value in mlproject().items() if key != "entry_points"}
    lines += [*yaml.safe_dump(head, sort_keys=False).splitlines(), "entry_points:"]
    for entry in ENTRY_POINTS.values():
        described = mlproject()["entry_points"][entry.name]
        lines += [f"  {entry.name}:", "    parameters:"]
        for name, definition in described["parameters"].items():
            text = "{type: string}" if "default" not in definition else "{type: string, default: ''}"
            lines += [*_comment(entry, name), f"      {name}: {text}"]
        lines.append(f"    command: {described['command']}")
    return "\n".join(lines) + "\n"


def _comment(entry: EntryPoint, name: str) -> list[str]:
    """What the parameter means and its real default, as lines of comment."""
    if entry.section is None or name in entry.own:
        return []
    field = entry.section.model_fields[name]
    default = field.get_default(call_default_factory=True)
    shown = "" if default is None else f" (default {json.dumps(default)})"
    return textwrap.wrap(
        f"{field.description}{shown}", 112, initial_indent=" " * 6 + "# ", subsequent_indent=" " * 6 + "# "
    )
