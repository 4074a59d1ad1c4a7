"""The networks. A module here IS an architecture: its name, its `NetworkSettings` and `build`. One file makes one.

`build(parameters, side)` returns a `keras.Model` from scaled faces float32 (n, side, side, 1) to logits float32 (n, 7).
What a recipe changes for an architecture stands in the recipe's file, under configs/recipes.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Protocol, cast

from ferkit.errors import UserError, nearest
from ferkit.settings import Settings

if TYPE_CHECKING:
    import keras


class Architecture(Protocol):
    """What a module of this package has."""

    NetworkSettings: type[Settings]

    def build(self, parameters: Any, side: int) -> keras.Model:
        """The network, with fresh weights."""
        ...


def names() -> list[str]:
    """All architectures, by the names that a candidate uses. Imports none."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def find(name: str) -> Architecture:
    """The architecture of that name; does not import keras.

    Raises:
        UserError: there is none.
    """
    if name not in names():
        raise UserError(f"architecture: there is no {name!r}; {nearest(str(name), names())}")
    return cast(Architecture, importlib.import_module(f"{__name__}.{name}"))
