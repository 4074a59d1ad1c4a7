"""Recipes: named sets of training settings, a YAML file each under configs/recipes. A new file is a new recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ferkit.errors import UserError, nearest

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "recipes"


@dataclass(frozen=True)
class Recipe:
    """What fills in the values that a candidate leaves open.

    Attributes:
        train: settings of `train`.
        optimizers: what it changes for one optimizer, by its name.
        architectures: what it changes for one architecture, by its name; the architecture's own parameters too.
    """

    train: Mapping[str, Any]
    optimizers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    architectures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def recipe_names() -> list[str]:
    """All recipes, by the names of their files."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def read_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: there is none.
    """
    if name not in recipe_names():
        raise UserError(f"train.recipe: there is no {name!r}; {nearest(name, recipe_names())}")
    return Recipe(**yaml.safe_load((FOLDER / f"{name}.yaml").read_text()))
