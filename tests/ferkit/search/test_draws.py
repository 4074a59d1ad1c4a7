"""Trials that are drawn when the run opens: a grid's, and a random search's."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from components.open_run.trials import draw_trials
from ferkit.errors import UserError
from ferkit.search.dimensions import Choice
from ferkit.search.draws import draw_points
from ferkit.search.settings import Search
from ferkit.search.space import Point, Spaces


def drawn(space: Any, **given: Any) -> Sequence[Point]:
    search = Search.parse({"space": space, **given})
    return draw_points(search, Spaces.parse(search, {})).points


def test_a_grid_is_every_point_of_every_space():
    points = drawn(
        [
            {"architecture": "lenet", "dropout": [0.1, 0.2], "epochs": {"low": 1, "high": 5, "step": 2}},
            {"architecture": "multi_kernel", "batch_norm": ["none", "pool"]},
        ],
        method="grid",
    )
    found = [tuple(point.values.values()) for point in points]
    assert set(found[:6]) == set(itertools.product(["lenet"], [0.1, 0.2], [1, 3, 5]))
    assert found[6:] == [("multi_kernel", "none"), ("multi_kernel", "pool")]
    assert [point.space for point in points] == [0] * 6 + [1] * 2
    assert list(points[0].values) == ["architecture", "dropout", "epochs"]


@pytest.mark.parametrize("method", ["grid", "random"])
def test_the_order_in_which_a_space_is_written_changes_no_draw(method: str):
    """kfp hands a dict on with its keys in any order: the same seed drew other trials."""
    space = {"width": [0.125, 0.25], "architecture": ["lenet", "multi_kernel"], "dropout": [0.0, 0.1, 0.2]}
    backwards = dict(reversed(space.items()))
    assert drawn(space, method=method) == drawn(backwards, method=method)


def test_a_grid_larger_than_allowed_is_refused_before_anything_is_trained():
    with pytest.raises(UserError, match=r"search.trials: the grid has 200 points, and 12 .*; set trials=200"):
        drawn({"architecture": "lenet", "epochs": {"low": 1, "high": 200, "step": 1}}, method="grid", trials=12)


def test_random_trials_follow_the_seed_and_are_all_different():
    space = {
        "architecture": ["lenet", "multi_kernel"],
        "learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
        "epochs": {"low": 1, "high": 3},
    }
    first, again, other = (drawn(space, method="random", trials=40, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    assert len({tuple(point.values.values()) for point in first}) == 40
    assert {point.values["architecture"] for point in first} == {"lenet", "multi_kernel"}
    assert {point.values["epochs"] for point in first} == {1, 2, 3}


@pytest.mark.parametrize("epochs", [[1, 2, 3], {"low": 1, "high": 3}, {"low": 1, "high": 3, "step": 1}])
def test_a_random_search_of_few_points_draws_each_once(epochs: Any):
    points = drawn({"architecture": "lenet", "epochs": epochs}, method="random", trials=20)
    assert sorted(point.values["epochs"] for point in points) == [1, 2, 3]


@pytest.mark.parametrize("method", ["grid", "random"])
def test_points_whose_values_do_not_go_together_are_left_out_with_a_warning(
    method: str, caplog: pytest.LogCaptureFixture
):
    search = Search.parse(
        {"space": {"architecture": "lenet", "depth": [1, 2], "residual": [False, True]}, "method": method}
    )
    trials = draw_trials(search, {}, (), {}, logging.getLogger("test")).trials
    assert {(one.settings["depth"], one.settings["residual"]) for one in trials} == {(1, False), (2, False), (2, True)}
    assert "search.space: left out 1 of 4 points, for their values do not go together; the first: " in caplog.text


def test_a_space_of_which_nothing_can_be_trained_is_one_sentence():
    values = {"architecture": Choice(("lenet",)), "depth": Choice((1,)), "residual": Choice((True,))}
    with pytest.raises(UserError, match=r"search.space: no point of 1 can be trained; lenet.residual: .*\(in "):
        draw_points(Search.parse({"method": "random"}), Spaces((values,), {}))
