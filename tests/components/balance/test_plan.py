"""Who is made from whom: exact numbers, even shares, nothing twice."""

from __future__ import annotations

import numpy as np
import pytest

from components.balance.parameters import Balance
from components.balance.plan import plan_new_faces
from components.balance.techniques import TECHNIQUES
from ferkit.errors import UserError

COUNTS = (40, 4, 41, 72, 48, 32, 50)
EMOTION = np.random.default_rng(0).permutation(np.repeat(np.arange(7, dtype=np.uint8), COUNTS))


def _everything(parameters: Balance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    plan = plan_new_faces(EMOTION, parameters)
    parent, child = plan.children(0, len(EMOTION))
    return parent, child, plan.techniques(parent, child)


@pytest.mark.parametrize(("per_class", "goal"), [(0, 72), (100, 100), (45, 45), (1000, 1000)])
@pytest.mark.parametrize("strategy", ["augmented_oversampling", "oversample"])
def test_every_emotion_is_filled_up_exactly_and_none_is_cut(strategy: str, per_class: int, goal: int) -> None:
    parent, _, _ = _everything(Balance.parse({"strategy": strategy, "per_class": per_class}))
    made = np.bincount(EMOTION[parent], minlength=7)
    assert (made + COUNTS).tolist() == [max(goal, count) for count in COUNTS]


def test_children_are_spread_evenly_over_the_parents() -> None:
    parent, child, _ = _everything(Balance(per_class=1000))
    for label in range(7):
        children = np.bincount(parent, minlength=len(EMOTION))[label == EMOTION]
        assert children.max() - children.min() <= 1
    assert len(np.unique(np.stack([parent, child]), axis=1).T) == len(parent)


def test_planned_quotas_are_what_is_made() -> None:
    plan = plan_new_faces(EMOTION, Balance())
    parent, child = plan.children(0, len(EMOTION))
    made = np.array(list(plan.quotas))[plan.techniques(parent, child)]
    for technique, quota in plan.quotas.items():
        assert np.bincount(EMOTION[parent][made == technique], minlength=7).tolist() == quota.tolist()


def test_shares_of_the_mix_are_met() -> None:
    quotas = plan_new_faces(EMOTION, Balance(mix={"rotation": 3, "salt": 1}, per_class=1040)).quotas
    assert quotas["rotation"].tolist() == [750, 777, 749, 726, 744, 756, 742]
    assert (quotas["rotation"] + quotas["salt"] + COUNTS).tolist() == [1040] * 7
    assert not any(quotas[unused].any() for unused in ("mask", "blur", "flip"))


def test_a_parent_is_masked_and_flipped_at_most_once() -> None:
    parent, _, technique = _everything(Balance(per_class=500))
    names = list(TECHNIQUES)
    for name in ("mask", "flip"):
        of = parent[technique == names.index(name)]
        assert len(np.unique(of)) == len(of)
    disgusted = np.flatnonzero(EMOTION == 1)
    flipped = parent[technique == names.index("flip")]
    assert np.isin(disgusted, flipped).all()


def test_a_mix_of_nothing_but_such_techniques_repeats_itself_rather_than_fail() -> None:
    quotas = plan_new_faces(EMOTION, Balance(mix={"flip": 1.0}, per_class=100)).quotas
    assert (quotas["flip"] + COUNTS).tolist() == [100] * 7


@pytest.mark.parametrize("size", [1, 7, 100])
def test_any_window_of_parents_gets_the_same_children(size: int) -> None:
    plan = plan_new_faces(EMOTION, Balance(per_class=300))
    whole = np.stack(plan.children(0, len(EMOTION)))
    windows = [
        np.stack(plan.children(start, min(start + size, len(EMOTION)))) for start in range(0, len(EMOTION), size)
    ]
    np.testing.assert_array_equal(np.concatenate(windows, axis=1), whole)


def test_another_seed_chooses_other_parents() -> None:
    first, second = (_everything(Balance(seed=seed))[0] for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_an_emotion_without_faces_is_named() -> None:
    with pytest.raises(UserError, match=r"no face of 'disgust'.*balance\.strategy to none"):
        plan_new_faces(EMOTION[EMOTION != 1], Balance())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"strategy": "smote"}, r"balance\.strategy: .*'augmented_oversampling'.*received 'smote'"),
        ({"mix": {"rotate": 1}}, r"balance\.mix: no such technique 'rotate'; did you mean 'rotation'\?"),
        ({"mix": {"blur": 0}}, r"balance\.mix: at least one technique needs a share above 0"),
        ({"mix": {"blur": -1}}, r"balance\.mix: the share of blur must be 0 or more"),
        ({"blur": [2, 1]}, r"balance\.blur: use \[smallest, largest\]"),
        ({"per_clas": 3}, r"balance\.per_clas: no such parameter; did you mean 'per_class'\?"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Balance.parse(values)


def test_numbers_arrive_as_floats_from_kfp() -> None:
    assert Balance.parse({"per_class": 100.0, "rotation": 30.0, "seed": 2.0}).per_class == 100
