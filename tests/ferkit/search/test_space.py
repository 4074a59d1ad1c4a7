"""A search's space: what may be written, which points it holds, and which of them are the same training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ferkit.errors import UserError
from ferkit.search.dimensions import Choice, Range
from ferkit.search.pruning import find_unequal
from ferkit.search.settings import Search
from ferkit.search.space import Point, Spaces


def spaces_of(*spaces: dict[str, Any], method: str = "tpe", train: dict[str, Any] | None = None) -> Spaces:
    return Spaces.parse(Search.parse({"method": method, "space": list(spaces)}), train or {})


def test_one_space_may_be_written_without_a_list():
    space = {"architecture": "lenet", "dropout": [0.1, 0.2]}
    assert Search.parse({"space": space}).space == [space]
    assert not Search.parse({"space": {}}).is_on
    assert not Search.parse({}).is_on


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({}, "space.architecture: a space needs it; use one or a list"),
        ({"architecture": "lenett"}, "space.architecture: there is no 'lenett'; did you mean 'lenet'?"),
        ({"epoch": [1]}, "space.epoch: neither lenet nor train has such a parameter; did you mean 'epochs'?"),
        (
            {"architecture": ["lenet", "multi_kernel"], "global_pool": ["avg"]},
            "space.global_pool: neither multi_kernel nor train .*write a space for each architecture",
        ),
        ({"epochs": []}, "space.epochs: the list is empty"),
        ({"epochs": [1, 2, 1]}, "space.epochs: 1 is listed twice"),
        ({"epochs": [1, None]}, "space.epochs: holds an empty value"),
        ({"epochs": [3, 0]}, r"space.epochs: .* greater than or equal to 1 \(received 0\)"),
        ({"filters": [8, 16]}, r"space.filters: Input should be a valid tuple \(received 8\)"),
        ({"flip": {"low": 0, "high": 1}}, "space.flip: takes no range, for it is no number"),
        ({"filters": {"low": 1, "high": 9}}, "space.filters: takes no range"),
        ({"architecture": {"low": 1, "high": 9}}, "space.architecture: takes no range"),
        ({"epochs": {"low": 1.5, "high": 9}}, r"space.epochs.low: epochs takes whole numbers \(received 1.5\)"),
        ({"epochs": {"low": 0, "high": 9}}, r"space.epochs: .* greater than or equal to 1 \(received 0\)"),
        ({"epochs": {"low": 2}}, "space.epochs.high: has to be a number"),
        ({"epochs": {"low": 9, "high": 2}}, "space.epochs: low has to be smaller than high"),
        ({"epochs": {"low": 1, "high": 9, "stepp": 2}}, "space.epochs.stepp: a range has no such key"),
        ({"epochs": {"low": 1, "high": 9, "step": 0}}, "space.epochs.step: has to be over 0"),
        ({"dropout": {"low": 0, "high": 0.5, "step": math.nan}}, "space.dropout.step: has to be a number"),
        ({"dropout": {"low": 0, "high": math.inf, "step": 0.1}}, "space.dropout.high: has to be a number"),
        ({"epochs": {"low": 1, "high": 9, "step": 2, "log": True}}, "space.epochs: takes a step or log, not both"),
        ({"dropout": {"low": 0, "high": 0.5, "log": True}}, "space.dropout.low: has to be over 0 where log is true"),
        ({"dropout": {"low": 0, "high": 0.5, "log": 1}}, "space.dropout.log: has to be true or false"),
        ({"seeds": [0, 1]}, "space.seeds: a search trains each trial once"),
    ],
)
def test_what_no_trial_could_train_is_one_sentence(space: dict[str, Any], sentence: str):
    given = space if "architecture" in space or not space else {"architecture": "lenet", **space}
    with pytest.raises(UserError, match=sentence) as refused:
        spaces_of(given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("depth", [[1, 2], [2, 1], {"low": 1, "high": 3}])
@pytest.mark.parametrize("residual", [[False, True], [True, False]])
def test_a_value_that_goes_with_some_of_the_others_is_taken_in_any_order(depth: Any, residual: Any):
    assert spaces_of({"architecture": ["lenet", "multi_kernel"], "depth": depth, "residual": residual}).size


def test_a_value_that_goes_with_none_of_the_others_is_refused():
    with pytest.raises(UserError, match=r"space.residual: there is nothing to go round with depth 1"):
        spaces_of({"architecture": "lenet", "depth": [1, 2], "residual": True})
    with pytest.raises(UserError, match=r"space.dropout: .* less than 1 \(received 1.5\)"):
        spaces_of({"architecture": "lenet", "depth": [1, 2], "residual": [True, False], "dropout": [0.1, 1.5]})


def test_a_grid_takes_no_range_without_a_step():
    with pytest.raises(UserError, match=r"space.epochs: a grid needs a step, or a list of values"):
        spaces_of({"architecture": "lenet", "epochs": {"low": 1, "high": 9}}, method="grid")


def test_a_sentence_names_the_space_of_several():
    with pytest.raises(UserError, match=r"^search.space\[1\].epochs: the list is empty"):
        spaces_of({"architecture": "lenet"}, {"architecture": "lenet", "epochs": []})


def test_the_parameters_own_type_decides_what_a_range_holds():
    """kfp hands 3 on as 3.0."""
    [space] = spaces_of(
        {
            "architecture": "lenet",
            "epochs": {"low": 2.0, "high": 8.0, "step": 3.0},
            "dropout": {"low": 0.0, "high": 0.5, "step": 0.2},
            "learning_rate": {"low": 0.001, "high": 1.0, "log": True},
            "batch_size": {"low": 16, "high": 64},
        }
    ).spaces
    assert [type(value) for value in space["epochs"].values] == [int] * 3
    assert space["epochs"].values == (2, 5, 8)
    assert space["dropout"].values == (0, 0.2, 0.4)
    assert (space["learning_rate"].size, space["batch_size"].size) == (None, 49)
    rng = np.random.default_rng(0)
    drawn = [space["learning_rate"].draw(rng) for _ in range(1000)]
    assert min(drawn) >= 0.001
    assert max(drawn) <= 1
    assert 0.4 < np.mean(np.array(drawn) < 10**-1.5) < 0.6  # each order of magnitude as often
    assert all(value == float(f"{value:.4g}") for value in drawn)


def test_a_logarithmic_range_of_whole_numbers_stays_in_its_bounds():
    one = Range(1, 500, True, None, True)
    drawn = [one.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert {type(value) for value in drawn} == {int}
    assert 1 <= min(drawn) < 5
    assert 100 < max(drawn) <= 500


def test_points_that_are_the_same_training_are_one():
    spaces = spaces_of(
        {"architecture": "lenet", "dropout": [0.25, 0.5]},
        {"architecture": ["lenet", "multi_kernel"], "dropout": [0.5, 0.75]},
        train={"epochs": 3},
    )
    assert spaces.size == 6
    points = list(spaces.all_points())
    assert [(point.space, *point.values.values()) for point in points] == [
        (0, "lenet", 0.25),
        (0, "lenet", 0.5),
        (1, "lenet", 0.75),
        (1, "multi_kernel", 0.5),
        (1, "multi_kernel", 0.75),
    ]
    assert (spaces.at_most(4), spaces.at_most(9)) == (4, 5)
    assert spaces.resolve(points[0]).train.epochs == 3
    assert spaces.searched() == ["architecture", "dropout"]


def test_an_untaken_point_is_found_to_the_last_one():
    spaces = spaces_of({"architecture": "lenet", "epochs": {"low": 1, "high": 400}})
    taken = {
        spaces.key(Point(0, {"architecture": "lenet", "epochs": epochs})) for epochs in range(1, 401) if epochs != 7
    }
    left = spaces.draw_untaken(taken, np.random.default_rng(0))
    assert left is not None
    assert left.values["epochs"] == 7
    assert spaces.draw_untaken(taken | {spaces.key(left)}, np.random.default_rng(0)) is None


def test_a_fixed_value_is_a_choice_of_one():
    [space] = spaces_of({"architecture": "lenet", "filters": [[8, 16], [16, 32]], "dropout": 0.2}).spaces
    assert space["architecture"] == Choice(("lenet",))
    assert space["filters"] == Choice(([8, 16], [16, 32]))
    assert space["dropout"] == Choice((0.2,))


@pytest.mark.parametrize(
    ("space", "train", "unequal"),
    [
        ({"architecture": ["lenet", "multi_kernel"], "epochs": 4}, {}, []),
        ({"architecture": "lenet", "batch_size": {"low": 16, "high": 64}}, {}, ["batch_size"]),
        ({"architecture": ["lenet", "multi_kernel"]}, {"recipe": "notebook"}, ["epochs", "batch_size"]),
        ({"architecture": ["lenet", "multi_kernel"], "batch_size": 64}, {"recipe": "notebook"}, ["epochs"]),
        ({"architecture": "lenet", "recipe": ["tuned", "notebook"], "epochs": 4}, {}, ["schedule", "warmup_ratio"]),
    ],
)
def test_what_keeps_trials_from_being_held_against_each_other_is_found_in_recipes_too(
    space: dict[str, Any], train: dict[str, Any], unequal: list[str]
):
    assert find_unequal(spaces_of(space, train=train)) == unequal
