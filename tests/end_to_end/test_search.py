"""A whole `ferpipe search` of two small trials, by the command a person types; then MLflow is asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.artifacts import load_text

from ferkit.search.record import decisions
from ferkit.tracking import tree
from ferkit.tracking.store import connect
from tests.end_to_end.place import Place

CONFIG = """
train: {epochs: 1, batch_size: 64, tta: none}
search:
  trials: 2
  finalists: 1
  space: {architecture: multi_kernel, width: 0.125, learning_rate: {low: 0.0005, high: 0.01, log: true}}
register: {floor_macro_f1: 0.0, floor_recall: 0.0}
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_two_trials_are_decided_trained_and_ranked_and_the_best_is_registered(
    new_store: Callable[[Path], str], sample_csv: Path, tmp_path: Path
):
    address = new_store(tmp_path)
    client = connect(address)
    place = Place(tmp_path, address, CONFIG)
    printed = place.succeeds("search", "--csv", str(sample_csv), "--config", str(place.config))

    experiment_id = tree.experiment_id(client, "facial-expression")
    [parent] = tree.search(client, experiment_id, "tags.`run.kind` = 'pipeline'")
    trials = tree.children(client, parent)
    [record] = tree.children(client, parent, "search")
    assert {run.info.status for run in (parent, record, *trials)} == {"FINISHED"}
    assert [one.run_id for one in decisions(record)] == [run.info.run_id for run in trials]
    assert len({run.data.params["learning_rate"] for run in trials}) == 2
    best, other = sorted(trials, key=lambda run: -run.data.metrics["best_val/macro_f1"])
    assert [run.data.tags["candidate.state"] for run in (best, other)] == ["evaluated", "trained"]
    assert "test/macro_f1" in best.data.metrics
    assert not [name for name in other.data.metrics if name.startswith("test/")]
    [version] = client.search_model_versions("name = 'facial-expression'")
    assert version.run_id == best.info.run_id
    files = {file.path for file in client.list_artifacts(parent.info.run_id, "search")}
    assert {"search/trials.csv", "search/history.png", "search/best.yaml"} <= files
    report = load_text(f"runs:/{parent.info.run_id}/report.html")
    assert "2 trials in " in report
    assert report.count(str(other.info.run_id)) == 1, "a trial that was no finalist is in the table of trials alone"

    assert "2 trials in " in printed
    [line] = [line for line in printed.splitlines() if line.startswith(str(best.info.run_name)) and "[" in line]
    assert re.search(r" [01]\.\d{3} \[[01]\.\d{3}, [01]\.\d{3}\] +" + best.info.run_id[:8], line)
    assert f"run --config runs:/{parent.info.run_id}/search/best.yaml" in printed
