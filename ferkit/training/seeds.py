"""One candidate, trained several times: `seeds: [0, 1, 2]` stands for three candidates that differ in nothing else.

How much of a difference is the luck of initial weights and shuffling, a single training cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ferkit.errors import UserError
from ferkit.user_input import shorten

SEEDS = "seeds"


def expand_seeds(candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A candidate as a person wrote it -> one per seed, each with a `seed` of its own; itself alone without `seeds`.

    >>> expand_seeds({"architecture": "lenet", "seeds": [3, 4]})
    [{'architecture': 'lenet', 'seed': 3}, {'architecture': 'lenet', 'seed': 4}]

    Raises:
        UserError: `seeds` is no list of two different whole numbers or more, or stands beside `seed`.
    """
    settings = dict(candidate)
    seeds = settings.pop(SEEDS, None)
    if seeds is None:
        return [settings]
    if settings.get("seed") is not None:
        raise UserError("seeds: stands beside seed; set one of them")
    # kfp hands 3 on as 3.0. Python's True is an int, too.
    whole = isinstance(seeds, list) and all(
        (isinstance(seed, int) and not isinstance(seed, bool)) or (isinstance(seed, float) and seed.is_integer())
        for seed in seeds
    )
    if not whole or len(set(seeds)) < max(2, len(seeds)):
        raise UserError(
            f"seeds: a list of different whole numbers, two or more, such as [0, 1, 2] (received {shorten(seeds)})"
        )
    return [{**settings, "seed": int(seed)} for seed in seeds]
