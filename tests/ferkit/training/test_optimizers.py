"""Optimizers do what their formulas say, their averages stand beside the weights. Under every backend."""

from __future__ import annotations

from collections.abc import Callable

from ferkit.training.candidate import parse_candidate


def test_every_step_is_exact(passes: Callable[[str, str], None]):
    passes("optimizers_check.py", "exact")


def test_a_recipe_has_sgd_steps_of_its_own_and_what_is_set_goes_before_them():
    def settings(**given: object) -> tuple[str, float | None, float | None]:
        train = parse_candidate({"architecture": "lenet", **given}, {}).train
        return train.optimizer, train.learning_rate, train.weight_decay

    assert settings() == ("adamw", 0.002, 0.02)
    assert settings(optimizer="sgd") == ("sgd", 0.1, 0.005)
    assert settings(optimizer="sgd", recipe="notebook") == ("sgd", 0.01, 0.0)
    assert settings(optimizer="sgd", learning_rate=0.05, weight_decay=0.0) == ("sgd", 0.05, 0.0)
