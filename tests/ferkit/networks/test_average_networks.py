"""An ensemble is the weighted mean of its members' probabilities, whatever its members are, in one graph."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from ferkit.data import Faces
from ferkit.errors import UserError
from ferkit.networks.ensemble import average_networks
from ferkit.networks.network import exported
from ferkit.training.build import build_network
from ferkit.training.candidate import parse_candidate


def member(architecture: str, side: int, seed: int, **train: Any) -> keras.Model:
    """A network as it is exported, that nobody trained."""
    keras.utils.set_random_seed(seed)
    small = {"filters": [8, 16], "dense": 16} if architecture == "lenet" else {"width": 0.1}
    candidate = parse_candidate({"architecture": architecture, **small, **train}, {})
    settings: Any = candidate.train
    return exported(build_network(candidate, side), settings.tta, side)


def test_its_answer_is_the_weighted_mean_of_its_members_whatever_they_are(stripes: Faces):
    """Another architecture, normalization, crop, augmentation; and twice the same one, whose layers share names."""
    members = [
        member("lenet", stripes.side, 1, tta="none"),
        member("lenet", stripes.side, 2, tta="flip", normalization="per_image"),
        member("multi_kernel", stripes.side, 3, tta="crops", crop_size=20),
    ]
    faces = stripes.pixels[:8, :, :, None]
    alone = [np.asarray(one.predict_on_batch(faces), np.float64) for one in members]
    assert not np.allclose(alone[0], alone[1], atol=1e-3)
    weights = [0.5, 0.3, 0.2]
    answers = np.asarray(average_networks(members, weights).predict_on_batch(faces))
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, np.tensordot(weights, alone, axes=1), atol=1e-6)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_a_member_of_weight_0_has_no_say(stripes: Faces):
    members = [member("lenet", stripes.side, seed, tta="none") for seed in (1, 2)]
    faces = stripes.pixels[:4, :, :, None]
    alone = np.asarray(members[0].predict_on_batch(faces))
    np.testing.assert_allclose(average_networks(members, [1.0, 0.0]).predict_on_batch(faces), alone, atol=1e-6)


@pytest.mark.parametrize(
    ("sides", "weights", "sentence"),
    [
        ((24,), [1.0], "two networks or more"),
        ((24, 24), [1.0], "2 networks and 1 weights"),
        ((24, 24), [0.5, 0.6], r"add up to 1 \(received \[0.5, 0.6\]\)"),
        ((24, 24), [1.5, -0.5], "0 or more"),
        ((24, 28), [0.5, 0.5], "faces of different sizes"),
    ],
)
def test_what_makes_no_ensemble_is_refused(sides: tuple[int, ...], weights: list[float], sentence: str):
    networks = []
    for side in sides:
        faces = keras.Input((side, side, 1))
        networks.append(keras.Model(faces, keras.layers.Dense(7, "softmax")(keras.layers.Flatten()(faces))))
    with pytest.raises(UserError, match=sentence):
        average_networks(networks, weights)
