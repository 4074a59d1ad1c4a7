"""What a second run does: it is served from the cache, it can be interrupted and gone on with, and it notices another
CSV and other code. Each starts processes that read, train and end as a person's would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import Run

from tests.end_to_end.place import ROOT, TWO_NETWORKS, Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def place(new_store: Callable[[Path], str], sample_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where a first run has read and balanced the data already."""
    folder = tmp_path_factory.mktemp("again")
    place = Place(folder, new_store(folder))
    csv = Path(shutil.copy(sample_csv, folder / "faces.csv"))
    assert place.data_steps(csv) == {"ingest": "made", "balance": "made"}
    for entry in place.cache_entries():
        os.utime(entry, (0, 0))
    return place


@dataclass(frozen=True)
class Interrupted:
    """A run that was asked to end: what it printed, what it said last, and its runs as MLflow had them then."""

    status: int
    printed: str
    said: str
    parent: Run
    children: list[Run]


@pytest.fixture(scope="module")
def interrupted(place: Place) -> Interrupted:
    """A second run on the same data, of one candidate, that gets SIGTERM while the second epoch is trained."""
    config = place.folder / "long.yaml"
    one_network = TWO_NETWORKS.replace("  - {architecture: lenet, width: 0.125}\n", "")
    config.write_text(one_network.replace("epochs: 2", "epochs: 4"))
    command = [sys.executable, "-m", "pipeline.cli", "run", "--config", str(config)]
    command += ["--csv", str(place.folder / "faces.csv")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=place.environment, cwd=ROOT
    ) as run:
        assert run.stdout is not None
        log = Path(run.stdout.readline().split()[-1])
        deadline = time.monotonic() + 120
        while "epoch 1/4" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        run.terminate()
        rest, said = run.communicate(timeout=60)
    [parent, *_] = place.parents()
    return Interrupted(run.returncode, rest, said.strip(), parent, place.children(parent))


def test_a_second_run_reuses_the_data(place: Place, interrupted: Interrupted):
    cached = re.findall(r"^✓ (\w+) +cached", interrupted.printed, re.MULTILINE)
    assert cached == ["ingest", "balance"], interrupted.printed
    assert all(entry.stat().st_mtime > 0 for entry in place.cache_entries()), "for `ferpipe clean`"


def test_an_interrupted_run_says_how_to_go_on(interrupted: Interrupted):
    assert interrupted.status == 1
    run_id = interrupted.parent.info.run_id
    assert interrupted.said.endswith(f"`ferpipe run --resume {run_id}` goes on where it was")
    assert [run.info.status for run in (interrupted.parent, *interrupted.children)] == ["KILLED", "KILLED"]


def test_it_is_resumed_in_the_same_runs_to_a_complete_tree(place: Place, interrupted: Interrupted):
    """Only what was left is trained; nothing that the cached steps log is missing."""
    parent_id = interrupted.parent.info.run_id
    place.succeeds("run", "--resume", parent_id)
    [child] = place.children(interrupted.parent)
    assert [child.info.run_id] == [run.info.run_id for run in interrupted.children]
    assert (place.client.get_run(parent_id).info.status, child.info.status) == ("FINISHED", "FINISHED")
    steps = [point.step for point in place.client.get_metric_history(child.info.run_id, "train/loss")]
    assert steps == [1, 2, 3, 4]
    assert "test/macro_f1" in child.data.metrics
    assert any(path.startswith("profile/") for path in place.artifacts(parent_id))


def test_a_csv_rewritten_at_the_same_path_is_not_served_from_the_cache(place: Place):
    csv = place.folder / "faces.csv"
    lines = csv.read_text().splitlines(keepends=True)
    csv.write_text("".join(lines[:-1]))
    assert place.data_steps(csv) == {"ingest": "made", "balance": "made"}


def test_changed_code_is_not_served_from_the_cache(place: Place, sample_csv: Path, tmp_path: Path):
    for package in ("components", "configs", "ferkit", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(sample_csv, place.folder / "faces.csv")
    with (tmp_path / "ferkit" / "data" / "dataset.py").open("a") as file:
        file.write("\n# another line\n")
    assert place.data_steps(place.folder / "faces.csv", cwd=tmp_path) == {"ingest": "made", "balance": "made"}


def test_code_that_is_edited_while_the_pipeline_runs_is_noticed(
    sample_csv: Path, new_store: Callable[[Path], str], tmp_path: Path
):
    """The task was made from the code as it was; what runs is another."""
    place = Place(tmp_path, new_store(tmp_path))
    for package in ("components", "configs", "ferkit", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package)
    locate, plan = (tmp_path / "components" / name for name in ("locate/component.py", "balance/plan.py"))
    edits = f"with open({str(plan)!r}, 'a') as plan: plan.write('# another line')\n        source = find_source(csv)"
    locate.write_text(locate.read_text().replace("source = find_source(csv)", edits))
    done = place.ferpipe("run", "--csv", str(sample_csv), "--config", str(tmp_path / "config.yaml"), cwd=tmp_path)
    assert done.returncode == 1
    assert "balance: the pipeline was made from other code of balance" in done.stderr
