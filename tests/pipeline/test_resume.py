"""The parameters that a resumed run goes on with: its own, and never a key that the run did not keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ferkit.errors import UserError
from ferkit.tracking.store import connect
from pipeline.parameters import Parameters
from pipeline.resume import parameters_of

WHOLE = "https://ann:secret@faces.example/fer.csv?X-Amz-Signature=1f"
KEPT = "https://faces.example/fer.csv"


@pytest.fixture
def earlier(new_store: Callable[[Path], str], tmp_path: Path) -> tuple[str, str]:
    """A store, and a run in it that read `KEPT`."""
    store = new_store(tmp_path)
    client = connect(store)
    run_id = client.create_run(client.create_experiment("faces")).info.run_id
    client.log_dict(run_id, Parameters.parse({"csv": KEPT, "train": {"epochs": 3}}).dump(), "parameters.yaml")
    return store, run_id


def test_are_those_of_the_run(earlier: tuple[str, str]):
    parameters = parameters_of(*earlier)
    assert (parameters.csv, parameters.train.epochs) == (KEPT, 3)


def test_take_the_whole_address_of_the_csv_once_more(earlier: tuple[str, str]):
    parameters = parameters_of(*earlier, csv=WHOLE)
    assert (parameters.csv, parameters.train.epochs) == (WHOLE, 3)


def test_refuse_another_csv_and_tell_no_secret(earlier: tuple[str, str]):
    with pytest.raises(UserError, match=r"read https://faces\.example/fer\.csv") as refused:
        parameters_of(*earlier, csv=WHOLE.replace("fer.csv", "other.csv"))
    assert "secret" not in str(refused.value)
    assert "Signature" not in str(refused.value)


def test_refuse_a_run_that_is_not_there(earlier: tuple[str, str]):
    with pytest.raises(UserError, match="run nobody: not a pipeline run of this MLflow"):
        parameters_of(earlier[0], "nobody")


def test_refuse_a_run_in_the_trash_before_anything_starts(earlier: tuple[str, str]):
    connect(earlier[0]).delete_run(earlier[1])
    with pytest.raises(UserError, match=f"^run {earlier[1]} is in the trash; `mlflow runs restore"):
        parameters_of(*earlier)
