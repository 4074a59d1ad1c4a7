"""The pictures of docs/screenshots, taken anew: runs of drawn faces, MLflow's pages, the report.

`make screenshots`: thirteen CPU minutes; half an hour by the clock, measured on cores that other work shared. With the
address of a store that has such runs, of those.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
from ferpipe_ui import QUIET, ferpipe_ui
from mlflow.entities import Run
from mlflow_server import free_port
from PIL import Image

from ferkit.addresses import run_address, version_address
from ferkit.registry.versions import our_models
from ferkit.tracking import names
from ferkit.tracking.store import connect
from ferkit.tracking.views import PIPELINE_RUNS, view_path
from pipeline.comparison_table import comparison_address
from pipeline.run_report import fetch_report

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "docs" / "screenshots"
HOST = "mlflow.example"
"""What the browser calls this machine: at `localhost`, MLflow's page opens a chat beside its tables."""
WIDTH = 1400
PHONE = 390
LARGEST = 150_000
"""Bytes of a picture."""


@dataclass(frozen=True)
class Page:
    """A page, and what of it is in the picture.

    Attributes:
        address: of the page.
        height: of the picture, pixels.
        width: of the page, pixels.
        left: where on the page the picture begins, pixels.
        top: where on the page the picture begins, pixels.
    """

    address: str
    height: int
    width: int = WIDTH
    left: int = 0
    top: int = 0


def main() -> None:
    """Takes all pictures, of the store that is given, or of new runs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("tracking_uri", nargs="?", default="", help="a store with such runs, else they are made")
    tracking_uri = arguments.parse_args().tracking_uri
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if not tracking_uri:
            tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
            make_runs(folder, tracking_uri)
        FOLDER.mkdir(exist_ok=True)
        with serve(folder, tracking_uri) as address:
            for name, page in pages(connect(tracking_uri), address, folder).items():
                take(page, FOLDER / f"{name}.png", folder)


def make_runs(folder: Path, tracking_uri: str) -> None:
    """Two runs of the sample with two seeds, the first one's challenger promoted between them; one of other faces; a
    search; and one that fails, for want of a GPU.
    """
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "FERPIPE_HOME": str(folder / "home")}
    others = str(folder / "other-faces.csv")
    commands: Sequence[Sequence[str]] = (
        ("run",),
        ("promote",),
        ("run", "--set", "train.seed=1"),
        ("sample", others, "--seed", "1", "--faces", "3000"),
        ("run", "--csv", others, "--config", str(ROOT / "configs" / "sample.yaml")),
        ("search",),
        ("run", "--set", "train.require_gpu=true"),
    )
    for command in commands:
        ended = subprocess.run([sys.executable, "-m", "pipeline.cli", *command], check=False, env=environment)
        if ended.returncode and command != commands[-1]:
            raise SystemExit(f"ferpipe {' '.join(command)} ended with status {ended.returncode}")


def pages(client: mlflow.MlflowClient, address: str, folder: Path) -> dict[str, Page]:
    """Every page, by the picture's name."""
    [experiment] = client.search_experiments(filter_string=f"name = '{names.EXPERIMENT}'")
    experiment_id = experiment.experiment_id

    def newest(kind: str) -> list[Run]:
        return list(client.search_runs([experiment_id], f"tags.`{names.RUN_KIND}` = '{kind}'"))

    def page_of(run: Run) -> str:
        return run_address(address, experiment_id, run.info.run_id)

    def compared(runs: Sequence[Run]) -> str:
        return comparison_address(address, client, [run.info.run_id for run in runs])

    failed = next(run for run in newest("pipeline") if run.info.status == "FAILED")
    searched = next(run for run in newest("pipeline") if "search/trials" in run.data.metrics)
    [first, second] = [
        run
        for run in reversed(newest("pipeline"))
        if run.info.status == "FINISHED" and run.data.tags[names.DATA_NAME] == "sample" and run is not searched
    ][:2]
    lenets = [run for run in newest("candidate") if run.data.tags.get(names.ARCHITECTURE) == "lenet"]
    lenets = [next(run for run in lenets if _is_under(run, parent)) for parent in (first, second)]
    model, _, judged = second.data.tags[names.VERSION].rpartition("/")
    assert model in our_models(client)
    report = fetch_report(client, second, folder / "report")
    of_search = fetch_report(client, searched, folder / "report-of-search")
    views = {"candidates": view_path(experiment_id), "pipeline-runs": view_path(experiment_id, PIPELINE_RUNS)}
    return {
        **{name: Page(address + path, 560) for name, path in views.items()},
        "image-grid": Page(f"{address}{view_path(experiment_id)}&compareRunsMode=CHART", 1440, left=510, top=1520),
        "pipeline-run": Page(page_of(second), 1100),
        "failed-run": Page(page_of(failed), 560),
        "compare": Page(compared(lenets), 1300),
        "compare-runs": Page(compared([first, second]), 1300),
        "model": Page(f"{address}/#/models/{model}", 760),
        "version": Page(version_address(address, model, judged), 630),
        "report": Page(report.as_uri(), 1500),
        "report-on-a-phone": Page(on_a_phone(report, 1500), 1500, PHONE),
        "search": Page(search_alone(of_search).as_uri(), 1420, 1120),
    }


def _is_under(run: Run, parent: Run) -> bool:
    return run.data.tags["mlflow.parentRunId"] == parent.info.run_id


def on_a_phone(report: Path, height: int) -> str:
    """The address of a page that has a report in a frame as wide as a phone: no window of Chromium's is so narrow."""
    page = report.with_name("phone.html")
    page.write_text(
        f'<style>body {{ margin: 0 }}</style><iframe src="{report.name}" '
        f'style="width:{PHONE}px;height:{height}px;border:0"></iframe>'
    )
    return page.as_uri()


def search_alone(report: Path) -> Path:
    """A report with all but the part about its search hidden."""
    hide = "main > :not(#search, #search ~ *), #search ~ h2, #search ~ h2 ~ * { display: none !important }"
    page = report.with_name("search.html")
    page.write_text(report.read_text().replace("</style>", f"{hide}</style>", 1))
    return page


@contextmanager
def serve(folder: Path, tracking_uri: str) -> Iterator[str]:
    """`ferpipe ui` on a store, and its address as the browser calls it."""
    port = free_port()
    hosts = {"ALLOWED_HOSTS": f"{HOST}:{port},127.0.0.1:{port}", "CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port}"}
    environment = {f"MLFLOW_SERVER_{name}": value for name, value in hosts.items()}
    with ferpipe_ui(tracking_uri, port, folder / "ui.log", environment):
        yield f"http://{HOST}:{port}"


def take(page: Page, picture: Path, folder: Path) -> None:
    """A page as Chromium shows it, in as many colours as its file may have bytes for."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        raise SystemExit("install Chromium: apt-get install chromium")
    taken = folder / "taken.png"
    command = [chromium, *QUIET.split(), f"--user-data-dir={folder / 'browser'}", "--allow-file-access-from-files"]
    command += [f"--window-size={max(page.width, 500)},{page.top + page.height}", "--virtual-time-budget=30000"]
    command += [f"--host-resolver-rules=MAP {HOST} 127.0.0.1", f"--screenshot={taken}"]
    subprocess.run([*command, page.address], check=True, capture_output=True, timeout=300)
    shown = Image.open(taken).convert("RGB").crop((page.left, page.top, page.width, page.top + page.height))
    for colours in (128, 64, 32):
        shown.quantize(colours).save(picture, optimize=True)
        if picture.stat().st_size <= LARGEST:
            break
    print(f"{picture.name}: {picture.stat().st_size:,} bytes, {colours} colours")


if __name__ == "__main__":
    main()
