"""Training faces lie on the device where they fit, and where they lie changes no result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ferkit.training.candidate import parse_candidate
from ferkit.training.dataset_placement import OnDevice, OnHost, place_dataset
from ferkit.training.hardware import Hardware


def test_where_faces_lie_changes_no_weight(passes: Callable[[str, str], None]):
    passes("feed_check.py", "equal")


@pytest.mark.parametrize(
    ("dataset_placement", "memory", "placement"),
    [
        ("auto", 0, OnDevice),
        ("auto", 4 * 144 * 100, OnDevice),
        ("auto", 4 * 144 * 100 - 4, OnHost),
        ("device", 1, OnDevice),
        ("host", 0, OnHost),
    ],
)
def test_faces_that_do_not_fit_stay_on_the_host(dataset_placement: str, memory: int, placement: type):
    settings = parse_candidate({"architecture": "lenet", "dataset_placement": dataset_placement}, {}).train
    hardware = Hardware(device="gpu", name="", precision="float32", xla=False, memory=memory)
    assert type(place_dataset(np.zeros((100, 12, 12), np.uint8), settings, hardware)) is placement
