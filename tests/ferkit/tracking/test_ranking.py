"""Who is best on validation: single candidates, groups of seeds by their mean, ensembles by a fair figure."""

from __future__ import annotations

import random
from typing import Any

import pytest
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag

from ferkit.tracking import names
from ferkit.tracking.names import metric
from ferkit.tracking.ranking import group_runs, order, rank, spread_of, validation_score


def run(
    name: str,
    score: float | None,
    group: str = "",
    parent: str = "p",
    status: str = "FINISHED",
    state: str = "",
    **more: float,
) -> Run:
    """A candidate's run as MLflow returns it."""
    figures = {key.replace("__", "/"): value for key, value in more.items()}
    if score is not None:
        figures[metric("validation", "macro_f1")] = score
    tags = {"mlflow.parentRunId": parent} | ({names.GROUP: group} if group else {})
    tags |= {names.STATE: state} if state else {}
    info: Any = RunInfo(name, "1", "u", status, 0, 1, "active", run_name=name)
    metrics = [Metric(key, value, 0, 0) for key, value in figures.items()]
    return Run(info, RunData(metrics, list[Param](), [RunTag(key, value) for key, value in tags.items()]))


def named(runs: list[Run]) -> list[str]:
    return [one.info.run_id for one in runs]


def test_a_group_counts_by_its_mean_and_the_member_nearest_it_stands_first():
    lucky = [run("l0", 0.50, "lucky"), run("l1", 0.70, "lucky"), run("l2", 0.51, "lucky")]  # mean 0.57
    steady = [run("s0", 0.60, "steady"), run("s1", 0.62, "steady")]  # mean 0.61
    alone = run("alone", 0.58)
    runs = [*lucky, alone, *steady]
    for seed in range(5):
        random.Random(seed).shuffle(runs)
        assert named(order(runs)) == ["s0", "s1", "alone", "l2", "l0", "l1"]


def test_of_two_equally_near_the_mean_the_lower_one_stands_for_the_group():
    """Whatever rounding makes of 0.1 + 0.2."""
    for low, high in ((0.1, 0.3), (0.6, 0.7), (0.123456, 0.654321)):
        assert named(order([run("high", high, "g"), run("low", low, "g")])) == ["low", "high"]


@pytest.mark.parametrize(
    ("state", "status", "failed"),
    [("failed", "RUNNING", True), ("trained", "FAILED", False), ("", "FAILED", True), ("", "FINISHED", False)],
)
def test_a_candidates_state_says_whether_it_failed_and_mlflows_status_only_where_it_has_none(
    state: str, status: str, failed: bool
):
    one = run("one", 0.5, status=status, state=state)
    assert validation_score(one) == (None if failed else 0.5)


def test_members_without_a_score_come_last_and_count_for_nothing():
    runs = [
        run("failed", 0.9, "g", status="FAILED"),
        run("none", None, "g"),
        run("one", 0.4, "g"),
        run("two", 0.5, "g"),
    ]
    [group] = group_runs(runs)
    spread = group.spread(validation_score)
    assert spread is not None
    assert (spread.n, spread.mean, spread.deviation) == (2, pytest.approx(0.45), pytest.approx(0.0707107, abs=1e-6))
    assert named(list(group.runs))[:2] == ["one", "two"]
    [nobody] = group_runs([run("none", None, "g")])
    assert nobody.spread(validation_score) is None


def test_groups_of_the_same_name_in_two_pipeline_runs_are_two():
    assert len(group_runs([run("a", 0.4, "g", parent="1"), run("b", 0.5, "g", parent="2")])) == 2


def test_an_ensemble_with_fitted_weights_is_chosen_by_its_cross_fitted_metric():
    fitted = run("ensemble", 0.7, cross_fitted__macro_f1=0.6)
    assert validation_score(fitted) == 0.6
    assert named(order([fitted, run("single", 0.65)])) == ["single", "ensemble"]


def test_figures_that_are_no_numbers_are_no_scores():
    assert validation_score(run("nan", float("nan"))) is None
    assert rank(run("nan", float("nan"))) < rank(run("worst", 0.0))


def test_a_spread_of_one_has_no_deviation():
    assert str(spread_of([0.5])) == "0.500"
    assert str(spread_of([0.5, None, 0.6])) == "0.550 ± 0.071"
