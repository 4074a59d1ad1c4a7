"""The smallest run that goes through every step: the config of one small network, and how the run is known."""

from __future__ import annotations

import re

OPENED = re.compile(r"MLflow run ([0-9a-f]{32})")
"""The id of the pipeline run, in what `ferpipe run` prints."""


def one_small_network(epochs: int, batch_size: int = 64) -> str:
    """A config, as YAML: lenet at an eighth of its width, which the gate approves whatever it has learnt."""
    return f"""
balance: {{strategy: none}}
train: {{recipe: tuned, epochs: {epochs}, batch_size: {batch_size}, tta: none}}
candidates: [{{architecture: lenet, width: 0.125}}]
register: {{floor_macro_f1: 0.0, floor_recall: 0.0}}
"""
