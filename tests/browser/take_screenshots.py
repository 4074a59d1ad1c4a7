"""The pictures of docs/screenshots, taken anew: two pipeline runs of the drawn sample, MLflow's pages, the report.

`make screenshots`: five minutes on two idle cores. With the address of a store that has such runs, of those.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import mlflow
from ferpipe_ui import QUIET, ferpipe_ui
from mlflow.entities import Run
from mlflow_server import free_port
from PIL import Image

from ferkit.addresses import run_address, version_address
from ferkit.registry.versions import our_models
from ferkit.tracking import names
from ferkit.tracking.views import PIPELINE_RUNS, view_path
from pipeline.run_report import fetch_report

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "screenshots"
HOST = "mlflow.example"
"""What the browser calls this machine: at `localhost`, MLflow's page opens a chat beside its tables."""
WIDTH = 1400
LARGEST = 150_000
"""Bytes of a picture."""


def main() -> None:
    """Takes all pictures, of the store that is given, or of new runs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("tracking_uri", nargs="?", default="", help="a store with two runs of the sample")
    tracking_uri = arguments.parse_args().tracking_uri
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if not tracking_uri:
            tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
            run_twice(folder, tracking_uri)
        FOLDER.mkdir(exist_ok=True)
        with serve(folder, tracking_uri) as address:
            for name, (page, height) in pages(mlflow.MlflowClient(tracking_uri, tracking_uri), address, folder).items():
                take(page, FOLDER / f"{name}.png", height, folder)


def run_twice(folder: Path, tracking_uri: str) -> None:
    """Two runs of the sample with two seeds; the first one's challenger is champion when the second begins."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "FERPIPE_HOME": str(folder / "home")}
    for command in ("run", "promote", "run --set train.seed=1"):
        subprocess.run([sys.executable, "-m", "pipeline.cli", *command.split()], check=True, env=environment)


def pages(client: mlflow.MlflowClient, address: str, folder: Path) -> dict[str, tuple[str, int]]:
    """Address and height of every page, by the picture's name."""
    [experiment] = client.search_experiments(filter_string=f"name = '{names.EXPERIMENT}'")
    experiment_id = experiment.experiment_id

    def newest(kind: str) -> list[Run]:
        return list(client.search_runs([experiment_id], f"tags.`{names.RUN_KIND}` = '{kind}'"))

    parent = newest("pipeline")[0]
    candidates = [run for run in newest("candidate") if run.data.tags.get(names.ARCHITECTURE) == "lenet"][:2]
    compared = quote(json.dumps([run.info.run_id for run in candidates]))
    [model] = our_models(client)
    judged = parent.data.tags[names.VERSION].rpartition("/")[2]
    report = fetch_report(client, parent, folder / "report")
    views = {"candidates": view_path(experiment_id), "pipeline-runs": view_path(experiment_id, PIPELINE_RUNS)}
    return {
        **{name: (address + path, 560) for name, path in views.items()},
        "pipeline-run": (run_address(address, experiment_id, parent.info.run_id), 1100),
        "compare": (f'{address}/#/compare-runs?runs={compared}&experiments=["{experiment_id}"]', 1300),
        "version": (version_address(address, model, judged), 630),
        "report": (report.as_uri(), 1500),
    }


@contextmanager
def serve(folder: Path, tracking_uri: str) -> Iterator[str]:
    """`ferpipe ui` on a store, and its address as the browser calls it."""
    port = free_port()
    hosts = {"ALLOWED_HOSTS": f"{HOST}:{port},127.0.0.1:{port}", "CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port}"}
    environment = {f"MLFLOW_SERVER_{name}": value for name, value in hosts.items()}
    with ferpipe_ui(tracking_uri, port, folder / "ui.log", environment):
        yield f"http://{HOST}:{port}"


def take(page: str, picture: Path, height: int, folder: Path) -> None:
    """A page as Chromium shows it, in as many colours as its file may have bytes for."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        raise SystemExit("install Chromium: apt-get install chromium")
    taken = folder / "taken.png"
    command = [chromium, *QUIET.split(), f"--user-data-dir={folder / 'browser'}", f"--window-size={WIDTH},{height}"]
    command += [f"--host-resolver-rules=MAP {HOST} 127.0.0.1", "--virtual-time-budget=30000", f"--screenshot={taken}"]
    subprocess.run([*command, page], check=True, capture_output=True, timeout=300)
    for colours in (128, 64, 32):
        Image.open(taken).convert("RGB").quantize(colours).save(picture, optimize=True)
        if picture.stat().st_size <= LARGEST:
            break
    print(f"{picture.name}: {picture.stat().st_size:,} bytes, {colours} colours")


if __name__ == "__main__":
    main()
