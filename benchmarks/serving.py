"""Latency and throughput of the registered model: in process, exported, and behind `mlflow models serve` over HTTP.

    python benchmarks/serving.py [--tracking-uri sqlite:///mlflow.db --model models:/facial-expression@champion]

The ways of asking take turns in one run, so that their ratios hold on a machine that is busy with something else.
Without a model it serves an untrained lenet in the notebook's size, whose cost is that of a trained one.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import requests

from ferkit.serving.export import FORMATS, export_model, load_exported
from ferkit.serving.load import load_face_model
from ferkit.serving.package import as_base64_png, log_face_model
from ferkit.tracking import active_run, names, tree
from ferkit.tracking.store import connect

BATCH = 512
PAIRED = "`FaceModel.probabilities`"
"""What the pyfunc's network takes, without its table: the ways of asking are compared with it, turn by turn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracking-uri", default="", help="MLflow that holds the model")
    parser.add_argument("--model", default=f"models:/{names.REGISTERED_MODEL}@{names.CHAMPION}")
    parser.add_argument("--rounds", type=int, default=60, help="measurements of one face; a sixth as many of a batch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tracking_uri, model = arguments.tracking_uri, arguments.model
        if not tracking_uri:
            tracking_uri = f"sqlite:///{folder}/mlflow.db"
            model = untrained_lenet(tracking_uri, Path(folder))
        connect(tracking_uri)
        start = time.perf_counter()
        with serving(model, tracking_uri) as address:
            busy = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            print(f"server up after {time.perf_counter() - start:.1f} s; {busy}\n")
            loaded = load_face_model(model)
            files = [export_model(loaded, kind, Path(folder) / f"model{FORMATS[kind].suffix}").file for kind in FORMATS]
            print_table(measure(model, files, address, arguments.rounds))
            print(", ".join(f"{file.suffix} {file.stat().st_size / 1e6:.2f} MB" for file in files))


def untrained_lenet(tracking_uri: str, folder: Path) -> str:
    """Logs and registers a fresh lenet; its address."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as loading a model does, but TensorFlow reads it once
    from ferkit.training.build import build_network, save_network
    from ferkit.training.candidate import parse_candidate
    from ferkit.training.settings import Train

    candidate = parse_candidate({"architecture": "lenet", "recipe": "notebook"}, Train().model_dump())
    save_network(build_network(candidate, 48), candidate, 48, folder / "lenet.keras")
    client = connect(tracking_uri)
    run_id = client.create_run(tree.experiment_id(client, names.EXPERIMENT)).info.run_id
    with active_run.writing_to(run_id):
        return log_face_model(folder / "lenet.keras", side=48, example=np.full((1, 48, 48), 99, np.uint8))


@contextmanager
def serving(model: str, tracking_uri: str) -> Iterator[str]:
    """`mlflow models serve` for the block; yields the address to post to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": tracking_uri,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(
        [*command, "--port", str(port)], env=environment, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        while True:
            try:
                if requests.get(f"http://127.0.0.1:{port}/ping", timeout=5).ok:
                    break
            except requests.ConnectionError:
                if server.poll() is not None:
                    raise SystemExit(f"mlflow models serve -m {model} ended with status {server.returncode}") from None
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@dataclass(frozen=True)
class Way:
    """A way of asking, and what its calls took.

    Attributes:
        faces: in a call.
        call: asks once.
        seconds: of each call, by the clock.
        cpu: CPU seconds of this process in each call; a server's are not in it.
    """

    faces: int
    call: Callable[[], Any]
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def measure(model: str, files: Sequence[Path], address: str, rounds: int) -> dict[str, Way]:
    """Every way of asking, in turns."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 48, 48), dtype=np.uint8)
    pngs = [as_base64_png(face) for face in pixels]
    scorer = load_face_model(model)
    loaded = mlflow.pyfunc.load_model(model)
    network: Any = load_face_model(model).classifier._network  # its own: calls of another shape would compile it anew
    session = requests.Session()

    def over_http(cells: list[Any]) -> None:
        body = {"dataframe_split": {"columns": ["face"], "data": [[cell] for cell in cells]}}
        session.post(address, json=body, timeout=600).raise_for_status()

    ways: dict[str, Way] = {}
    for faces, what in ((1, "1 face"), (BATCH, "512 faces")):
        for file in files:
            answer = load_exported(file)  # its own: LiteRT plans its memory anew for another number of faces
            ways[f"{what}, `{file.suffix}` file"] = Way(faces, partial(answer, pixels[:faces]))
    ways |= {
        "1 face, `network.predict` (notebook)": Way(1, lambda: network.predict(pixels[:1, ..., None], verbose=0)),
        "1 face, `FaceModel.probabilities`": Way(1, lambda: scorer.probabilities(pixels[:1])),
        "1 face, pyfunc, base64 PNG": Way(1, lambda: loaded.predict(pd.DataFrame({"face": pngs[:1]}))),
        "1 face, HTTP, base64 PNG": Way(1, lambda: over_http(pngs[:1])),
        "1 face, HTTP, array": Way(1, lambda: over_http([pixels[0].tolist()])),
        "512 faces, `FaceModel.probabilities`": Way(BATCH, lambda: scorer.probabilities(pixels)),
        "512 faces, pyfunc, base64 PNG": Way(BATCH, lambda: loaded.predict(pd.DataFrame({"face": pngs}))),
        "512 faces, HTTP, base64 PNG": Way(BATCH, lambda: over_http(pngs)),
        "512 faces, HTTP, array": Way(BATCH, lambda: over_http(pixels.tolist())),
    }
    for way in ways.values():
        way.call()  # compiled by the first call
    for turn in range(rounds):
        for way in ways.values():
            if way.faces == 1 or turn % 6 == 0:
                start, cpu = time.perf_counter(), time.process_time()
                way.call()
                way.seconds.append(time.perf_counter() - start)
                way.cpu.append(time.process_time() - cpu)
    return ways


def print_table(ways: dict[str, Way]) -> None:
    """The committed table; `ratio` is the median, over turns, of the time to that of `PAIRED` in the same turn."""
    print("| way of asking | p50 | p95 | CPU p50 | faces/s at p50 | ratio | calls |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, way in ways.items():
        p50, p95 = np.quantile(way.seconds, [0.5, 0.95])
        cpu = "" if "HTTP" in name else f"{1000 * np.median(way.cpu):.1f} ms"
        ratio = np.median(np.divide(way.seconds, ways[f"{name.split(',')[0]}, {PAIRED}"].seconds))
        times = f"{1000 * p50:.1f} ms | {1000 * p95:.1f} ms | {cpu} | {way.faces / p50:,.0f}"
        print(f"| {name} | {times} | {ratio:.2f} | {len(way.seconds)} |")


if __name__ == "__main__":
    main()
