"""The saved view of the candidates, as Chromium shows it: a person compares by the columns that are there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from ferpipe_ui import QUIET, ferpipe_ui
from mlflow_server import free_port

from ferkit.tracking import names, tree
from ferkit.tracking.charts import SETTINGS
from ferkit.tracking.store import connect
from ferkit.tracking.views import SEEDS, view_path

pytestmark = pytest.mark.browser

CANDIDATES = f"tags.`{names.RUN_KIND}` = 'candidate'"
PICTURE = np.zeros((40, 40, 3), np.uint8)


@pytest.fixture(scope="session")
def chromium() -> str:
    """A Chromium; Debian's package where there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        for command in ("apt-get update -qq", "apt-get install -y -qq chromium"):
            subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)
        found = shutil.which("chromium")
    assert found, "install Chromium"
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a pipeline run of two candidates, and two seeds of a third."""
    address = f"sqlite:///{tmp_path_factory.mktemp('ui') / 'mlflow.db'}"
    client = connect(address)
    experiment = tree.experiment_id(client, names.EXPERIMENT)
    parent = client.create_run(experiment, tags={names.RUN_KIND: "pipeline"}, run_name="2026-11-21 04:00 fer2013")
    made = [("lenet-tuned-s0", 0.9375, ""), ("multi_kernel-tuned-s0", 0.8125, "")]
    made += [(f"lenet-notebook-s{seed}", score, "lenet-notebook") for seed, score in enumerate((0.25, 0.375))]
    for name, accuracy, group in made:
        tags = {names.RUN_KIND: "candidate", "mlflow.parentRunId": parent.info.run_id}
        tags |= {names.DATA_NAME: "fer2013", names.PARENT_NAME: "2026-11-21 04:00 fer2013"}
        tags |= {names.VERDICT: "rejected", names.VERDICT_REASONS: "macro-F1 is below the floor"}
        run = client.create_run(
            experiment,
            run_name=name,
            tags=tags | ({names.GROUP: group} if group else {}),
        )
        for metric in ("test/accuracy", "test/macro_f1", "eval_val/macro_f1", "test_clean/macro_f1"):
            client.log_metric(run.info.run_id, metric, accuracy)
        tree.close(client, run.info.run_id)
    tree.close(client, parent.info.run_id)
    return address


@pytest.fixture(scope="module")
def ui(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`ferpipe ui` on that store."""
    with ferpipe_ui(store, free_port(), tmp_path_factory.mktemp("served") / "ui.log") as address:
        yield address


@pytest.fixture
def shown(chromium: str, ui: str, store: str, tmp_path: Path) -> Callable[..., str]:
    """The text of a saved view's page."""
    [experiment] = mlflow.MlflowClient(store).search_experiments(filter_string=f"name = '{names.EXPERIMENT}'")

    def show(*view: str) -> str:
        command = [chromium, *QUIET.split(), f"--user-data-dir={tmp_path}", "--window-size=1400,800"]
        command += ["--virtual-time-budget=30000", "--dump-dom", ui + view_path(experiment.experiment_id, *view)]
        page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        return re.sub(r"<[^>]+>", " ", page)

    return show


def test_the_saved_view_of_seeds_shows_the_mean_of_each_group(shown: Callable[..., str]):
    text = shown(SEEDS)
    for expected in ("lenet-notebook", "0.3125"):
        assert expected in text, expected
    assert "lenet-tuned-s0" not in text, "candidates without seeds are left out"


def test_the_saved_view_shows_the_candidates_by_what_they_are_compared_by(shown: Callable[..., str]):
    text = shown()
    # The table draws those columns alone that lie in the window.
    columns = ("data.name", "pipeline.run", "eval_val/macro_f1", "test/macro_f1", "verdict.reasons")
    for expected in ("lenet-tuned-s0", "multi_kernel-tuned-s0", *columns, "0.9375", "0.8125"):
        assert expected in text, expected
    assert text.index("lenet-tuned-s0") < text.index("multi_kernel-tuned-s0"), "best on validation first"
    assert "fer2013" in text
    assert "macro-F1 is below the floor" in text
    assert re.search(r"\b4\s+matching runs", text), "parents are left out"


def test_the_saved_view_of_candidates_has_charts(chromium: str, ui: str, store: str, tmp_path: Path):
    client = mlflow.MlflowClient(store)
    [experiment] = client.search_experiments(filter_string=f"name = '{names.EXPERIMENT}'")
    for run in client.search_runs([experiment.experiment_id], CANDIDATES):
        client.log_metric(run.info.run_id, "test/recall/disgust", 0.5)
        client.log_image(run.info.run_id, PICTURE, key="test_confusion_matrix", step=0)
        for name in SETTINGS:  # the plot leaves out a run that lacks one
            client.log_param(run.info.run_id, name, run.info.run_name)
    address = f"{ui}{view_path(experiment.experiment_id)}&compareRunsMode=CHART"
    command = [chromium, *QUIET.split(), f"--user-data-dir={tmp_path}", "--window-size=1800,2400"]
    command += ["--virtual-time-budget=60000", "--dump-dom", address]
    page = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    places = [page.find(heading) for heading in ("Settings and scores", "Recall of each class, test", "Side by side")]
    assert -1 not in places
    assert places == sorted(places)
    assert "Parallel Coordinates" in page
    assert "test/recall/disgust" in page
    pictures = page[places[2] :]
    assert pictures.count("path=images%2Ftest_confusion_matrix") == 4, "one for each candidate"
    assert "learning_rate=" not in pictures, "a wall of parameters hides the picture of a run"
