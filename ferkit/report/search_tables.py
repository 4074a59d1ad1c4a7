"""A search as files: a table of its trials, and the best one as a config."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

from ferkit.search.trials import SearchRecord
from ferkit.settings import whole_numbers
from ferkit.user_input import inert

FRESH_SEEDS: Final = 3
"""Seeds with which the best trial's config trains it again."""


def trials_csv(search: SearchRecord) -> str:
    """A line per trial: its number, state, values, metrics on validation, epochs and seconds."""
    searched = search.plan.spaces.searched()
    columns = ["trial", "run_id", "state", *searched]
    columns += ["val_macro_f1", "val_accuracy", "val_loss", "epoch", "train_seconds", "failure"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for trial in search.trials:
        values = trial.point.values if trial.point else {}
        cells = {
            "trial": trial.number,
            "run_id": trial.run_id,
            "state": trial.state,
            **{name: _cell(values[name]) for name in searched if name in values},
            "val_macro_f1": trial.macro_f1,
            "val_accuracy": trial.accuracy,
            "val_loss": trial.loss,
            "epoch": trial.epoch,
            "train_seconds": trial.seconds,
            "failure": inert(trial.failure, "'"),
        }
        writer.writerow(cells)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else json.dumps(value)


def best_config(search: SearchRecord, parameters: Mapping[str, Any], parent_run_id: str) -> str:
    """The best trial as a config file, trained with seeds that the search did not use.

    Args:
        search: with a finished trial.
        parameters: the pipeline run's, as its `parameters.yaml` holds them.
        parent_run_id: of the pipeline run.
    """
    best = search.best_first[0]
    kept = {key: value for key, value in parameters.items() if key not in ("search", "candidates")}
    head = (
        f"# Trial {best.number} of the search in MLflow run {parent_run_id}: macro-F1 {best.macro_f1:.3f} on "
        f"validation, the best of {len(search.trials)}.\n"
        "# The best of many trials flatters itself: it is trained again here, with seeds that the search did not use.\n"
        f"#   ferpipe run --config runs:/{parent_run_id}/search/best.yaml\n"
    )
    values = {**whole_numbers(kept), **best_candidates(search)}
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def best_candidates(search: SearchRecord) -> dict[str, Any]:
    """The part `candidates` of that config: the best trial's values, with seeds that the search did not use."""
    best = search.best_first[0]
    assert best.point is not None
    candidate = dict(best.point.values)
    candidate.pop("seed", None)
    usual = search.plan.train.get("seed", 0)
    used = [trial.point.values.get("seed", usual) for trial in search.trials if trial.point]
    seeds = [int(max(used)) + 1 + number for number in range(FRESH_SEEDS)]
    return whole_numbers({"candidates": [{**candidate, "seeds": seeds}]})
