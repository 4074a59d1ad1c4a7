"""`seeds: [0, 1, 2]` is one candidate three times, and anything else that it could mean is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from components.open_run.resolve import resolve_candidates
from ferkit.errors import UserError
from ferkit.tracking import names
from ferkit.training.seeds import expand_seeds
from pipeline.parameters import Parameters


def test_each_seed_is_a_candidate_and_all_are_in_one_group():
    small = {"architecture": "lenet", "width": 0.5}
    smaller = {**small, "width": 0.25, "seeds": [3, 4]}
    candidates = resolve_candidates([{**small, "seeds": [3.0, 4]}, smaller, small], {}, ())
    assert [one.settings["seed"] for one in candidates] == [3, 4, 3, 4, 0]
    assert [one.tags.get(names.GROUP) for one in candidates] == [
        "lenet-tuned width=0.5",
        "lenet-tuned width=0.5",
        "lenet-tuned width=0.25",
        "lenet-tuned width=0.25",
        None,
    ]
    assert candidates[0].name == "lenet-tuned-s3 width=0.5"
    assert len({one.candidate_id for one in candidates}) == 5


def test_a_seed_that_another_candidate_has_already_is_refused():
    with pytest.raises(UserError, match=r"candidates\[1\] is equal to \[0\]"):
        resolve_candidates([{"architecture": "lenet", "seeds": [0, 1]}, {"architecture": "lenet", "seed": 1}], {}, ())


@pytest.mark.parametrize(
    "seeds",
    [[], [1], [1, 1], [1, 1.0], [1, 2.5], [0, True], [math.inf, 1], [math.nan, 1], 3, "0, 1", ["a", "b"], {"a": 1}],
)
def test_what_is_no_list_of_different_seeds_is_refused(seeds: Any):
    with pytest.raises(UserError, match=r"seeds: a list of different whole numbers, two or more"):
        expand_seeds({"architecture": "lenet", "seeds": seeds})


@pytest.mark.parametrize(
    ("candidate", "sentence"),
    [
        ({"architecture": "lenet", "seed": 1, "seeds": [0, 1]}, r"candidates\[0\]: seeds: stands beside seed"),
        ({"architecture": "lenet", "seeds": [0, -1]}, r"candidates\[0\]: train.seed: .*received -1"),
    ],
)
def test_a_config_is_told_where_its_seeds_are_wrong(candidate: dict[str, Any], sentence: str):
    with pytest.raises(UserError, match=sentence):
        Parameters.parse({"candidates": [candidate]})
