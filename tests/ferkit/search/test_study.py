"""What Optuna is asked: the next point of a TPE search, and whether a trial has fallen behind."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ferkit.errors import UserError
from ferkit.search.importance import importance_of
from ferkit.search.settings import Search
from ferkit.search.space import Point, Spaces
from ferkit.search.study import Told, has_fallen_behind, next_point

RATES = {"architecture": "lenet", "learning_rate": {"low": 1e-5, "high": 1.0, "log": True}, "dropout": [0.1, 0.2, 0.3]}
TWO = [
    {"architecture": "lenet", "dense": {"low": 16, "high": 256, "step": 16}, "learning_rate": [0.001, 0.01]},
    {"architecture": "multi_kernel", "learning_rate": {"low": 1e-4, "high": 0.1, "log": True}},
]


def asked(space: Any, **given: Any) -> tuple[Search, Spaces]:
    search = Search.parse({"space": space, **given})
    return search, Spaces.parse(search, {})


def value_of(point: Point) -> float:
    """Best at a learning rate of 0.01."""
    return 1 - 0.2 * abs(math.log10(point.values["learning_rate"]) + 2) - point.values.get("dropout", 0) / 100


def run(search: Search, spaces: Spaces, trials: int) -> list[Told]:
    told: list[Told] = []
    for _ in range(trials):
        point = next_point(search, spaces, told)
        assert point is not None
        told.append(Told(point, "trained", value_of(point)))
    return told


@pytest.mark.parametrize("space", [RATES, TWO])
def test_the_same_history_leads_to_the_same_next_point(space: Any):
    search, spaces = asked(space, trials=15, seed=3)
    first = run(search, spaces, 15)
    assert first == run(search, spaces, 15)
    assert first[:9] == run(search, spaces, 9)  # a search that goes on where it was
    assert first != run(*asked(space, trials=15, seed=4), 15)


def test_it_learns_where_good_trials_are():
    random: list[float] = []
    guided: list[float] = []
    for seed in range(3):
        told = run(*asked(RATES, trials=30, seed=seed), 30)
        off = [abs(math.log10(one.point.values["learning_rate"]) + 2) for one in told]
        random += off[:10]
        guided += off[-10:]
    assert sum(guided) < 0.9 * sum(random)


def test_a_rate_at_which_nothing_trains_is_kept_away_from():
    search, spaces = asked(RATES, trials=60)
    told: list[Told] = []
    for _ in range(40):
        point = next_point(search, spaces, told)
        assert point is not None
        diverged = point.values["learning_rate"] > 0.01
        told.append(Told(point, "diverged") if diverged else Told(point, "trained", 0.5))
    diverged = [one.ending == "diverged" for one in told]
    assert sum(diverged[:10]) > 0
    assert sum(diverged[-20:]) / 20 < sum(diverged[:20]) / 20


@pytest.mark.parametrize("space", [{"architecture": "lenet", "dropout": [0.1, 0.2, 0.3], "flip": [True, False]}, TWO])
def test_trials_that_run_side_by_side_are_all_different_until_no_point_is_left(space: Any):
    search, spaces = asked(space, trials=6)
    told: list[Told] = []
    for _ in range(6):
        point = next_point(search, spaces, told)
        assert point is not None
        told.append(Told(point))
    assert len({spaces.key(one.point) for one in told}) == 6
    if spaces.size == 6:
        assert next_point(search, spaces, told) is None


def test_pruned_failed_and_running_trials_are_told_too():
    search, spaces = asked(TWO, trials=9)
    told = run(search, spaces, 6)
    endings = [Told(told[0].point, "pruned", 0.2, 3), Told(told[1].point, "failed"), Told(told[2].point), *told[3:]]
    assert next_point(search, spaces, endings) is not None


def curves(*finals: float, epochs: int = 6) -> list[dict[int, float]]:
    """Macro-F1 by epoch that grows evenly to each of the final ones."""
    return [{epoch: final * epoch / epochs for epoch in range(1, epochs + 1)} for final in finals]


def test_the_worst_quarter_is_given_up_from_a_third_of_the_epochs_on():
    finished = curves(0.2, 0.4, 0.5, 0.6, 0.7)
    [bad], [good] = curves(0.3), curves(0.45)
    upto = lambda curve, last: {epoch: value for epoch, value in curve.items() if epoch <= last}  # noqa: E731
    assert [has_fallen_behind(upto(bad, epoch), finished, 6) for epoch in range(1, 7)] == [
        False, True, True, True, True, False,
    ]  # fmt: skip
    assert not any(has_fallen_behind(upto(good, epoch), finished, 6) for epoch in range(1, 7))


def test_none_is_given_up_before_five_have_come_so_far():
    [bad] = curves(0.01)
    early = {epoch: value for epoch, value in bad.items() if epoch <= 4}
    four = curves(0.4, 0.5, 0.6, 0.7)
    stopped = {1: 0.1, 2: 0.3}  # its patience was over
    assert not has_fallen_behind(early, four, 6)
    assert not has_fallen_behind(early, [*four, stopped], 6)
    assert has_fallen_behind(early, [*four, *curves(0.5)], 6)


def test_a_trial_is_judged_by_its_best_epoch_so_far():
    finished = curves(0.2, 0.4, 0.5, 0.6, 0.7)
    assert not has_fallen_behind({1: 0.05, 2: 0.3, 3: 0.01}, finished, 6)


def test_importance_names_what_matters():
    search, spaces = asked({**RATES, "weight_decay": {"low": 0.0, "high": 0.1}}, trials=40)
    told = run(search, spaces, 40)
    found = importance_of(spaces, 0, told)
    assert found.trials == 40
    assert next(iter(found.shares)) == "learning_rate"
    assert sum(found.shares.values()) == pytest.approx(1)
    with pytest.raises(UserError, match="9 trials finished, and it takes 10"):
        importance_of(spaces, 0, told[:9])


def test_importance_is_told_per_space():
    search, spaces = asked(TWO, trials=60, seed=1)
    told = run(search, spaces, 60)
    assert set(importance_of(spaces, 0, told).shares) == {"dense", "learning_rate"}
    with pytest.raises(UserError, match="it takes two that are searched"):
        importance_of(spaces, 1, [one for one in told if one.point.space == 1] * 10)
