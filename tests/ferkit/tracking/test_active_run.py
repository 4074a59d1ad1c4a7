"""Dataset inputs as MLflow keeps them: the kind of source, and its address."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from ferkit.tracking import active_run
from ferkit.tracking.store import connect

ADDRESSES = {
    "s3://faces/fer2013.csv.gz": ("s3", {"uri": "s3://faces/fer2013.csv.gz"}),
    "gs://faces/fer2013.csv": ("gs", {"uri": "gs://faces/fer2013.csv"}),
    "https://host/sets.zip#fer2013.csv": ("http", {"url": "https://host/sets.zip#fer2013.csv"}),
    "/data/fer2013.csv": ("local", {"uri": "/data/fer2013.csv"}),
    "abfs://container/fer2013.csv": ("http", {"url": "abfs://container/fer2013.csv"}),
    "sample:noise=0.3": ("code", {"tags": {"mlflow.source.name": "fer-pipeline, sample:noise=0.3"}}),
}


@pytest.fixture(scope="module")
def run(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory):
    client = connect(new_store(tmp_path_factory.mktemp("store")))
    run_id = client.create_run("0").info.run_id
    with active_run.writing_to(run_id), warnings.catch_warnings():
        warnings.filterwarnings("error", message="The specified dataset source")
        for number, address in enumerate(ADDRESSES):
            active_run.log_dataset(address, f"set-{number}", f"digest-{number}", "training")
    return client.get_run(run_id)


@pytest.mark.parametrize(("number", "address"), list(enumerate(ADDRESSES)))
def test_a_source_is_of_the_kind_that_mlflow_has_for_its_address(run, number: int, address: str) -> None:
    [found] = [one.dataset for one in run.inputs.dataset_inputs if one.dataset.name == f"set-{number}"]
    kind, source = ADDRESSES[address]
    assert (found.source_type, json.loads(found.source)) == (kind, source)
