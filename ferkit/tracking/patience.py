"""How long MLflow's client asks again where MLflow does not answer. It imports no MLflow: its settings are variables.

The client waits 0, 2f, 4f ... seconds (and up to one more each time) before its further tries, f being the factor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

RETRIES: Final = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
FACTOR: Final = "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"
TIMEOUT: Final = "MLFLOW_HTTP_REQUEST_TIMEOUT"

OF_A_RUN: Final = {RETRIES: "3", FACTOR: "4", TIMEOUT: "30"}
"""Tries at 0, 0, 8 and 24 seconds: bridges a restart of 20, and fails within 30. MLflow's own are 4 minutes. An
answer may take 30: the server hands a model on to its bucket before it replies."""

OF_A_PERSON: Final = {RETRIES: "2", FACTOR: "2", TIMEOUT: "8"}
"""Tries at 0, 0 and 4 seconds; 30 seconds at most where somebody takes the question, and never answers."""

OF_THE_LAST_WORD: Final = {RETRIES: "1", FACTOR: "1", TIMEOUT: "8"}
"""Two tries, where a step has just waited in vain for as long as a run waits."""


@contextmanager
def patience(settings: Mapping[str, str]) -> Iterator[None]:
    """Within it, MLflow's client is as patient as the settings say, whatever the environment says."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
