"""How long MLflow's own client waits with our settings, asked of the client's own arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from mlflow.utils.request_utils import JitteredRetry

from ferkit.tracking.patience import FACTOR, OF_A_PERSON, OF_A_RUN, OF_THE_LAST_WORD, RETRIES, TIMEOUT, patience

JITTER = 1.0
"""Seconds that MLflow's client adds at most to each wait."""


def waits(settings: Mapping[str, str]) -> list[float]:
    """Seconds before each further try, without jitter."""
    retry = JitteredRetry(total=int(settings[RETRIES]), backoff_factor=int(settings[FACTOR]))
    found = []
    for _ in range(int(settings[RETRIES])):
        retry = retry.increment("GET", "/", error=ConnectionResetError())
        found.append(retry.get_backoff_time())
    return found


def test_a_run_bridges_twenty_seconds_and_fails_within_thirty():
    waited = sum(waits(OF_A_RUN))
    assert waited > 20
    assert waited + JITTER * int(OF_A_RUN[RETRIES]) <= 30


@pytest.mark.parametrize("settings", [OF_A_PERSON, OF_THE_LAST_WORD])
def test_a_person_waits_thirty_seconds_even_for_one_that_never_answers(settings: Mapping[str, str]):
    tries = int(settings[RETRIES]) + 1
    assert sum(waits(settings)) + JITTER * (tries - 1) + tries * int(settings[TIMEOUT]) <= 30
    assert sum(waits(settings)) <= 6


def test_patience_ends_with_its_block(monkeypatch: pytest.MonkeyPatch):
    import os

    monkeypatch.setenv(RETRIES, "7")
    monkeypatch.delenv(FACTOR, raising=False)
    with patience(OF_A_PERSON):
        assert os.environ[RETRIES] == OF_A_PERSON[RETRIES]
    assert os.environ[RETRIES] == "7"
    assert FACTOR not in os.environ
