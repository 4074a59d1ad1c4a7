"""What our training step costs beside a bare Keras fit, and beside the notebooks' way of feeding it.

    python -m benchmarks.training [--backend jax] [--repeats 5] [--peak 989] [--csv CSV] > benchmarks/training.md

Interleaved in one process, on the same arrays, with the same network and optimizer, after a warm-up of each, by the
clock: run it on a machine that does nothing else. `as it comes` is a bare fit of plain arrays, where tf.data's
autotuner makes an epoch last as long as its sleep (see `in_batches` in ferkit/training/dataset_placement.py); the other
bare fit is spared that, as ours is.

With `--peak`, what the processor's data sheet promises in the precision the first line names, the share of it that ours
uses: a step counts as three forward passes, one forward and two backward, and only what multiplies matrices counts
(Chowdhery et al., PaLM, 2022, appendix B). With `--csv`, how long configs/notebook-sizes.yaml's candidates take to a
validation accuracy.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ferkit.data import Faces, read_split
from ferkit.training.candidate import parse_candidate
from ferkit.training.hardware import Hardware, choose

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "notebook-sizes.yaml"

BATCH = 128
EMOTIONS = 7
SIDE = 48


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax"])
    parser.add_argument("--repeats", type=int, default=5, help="rounds, of which the median is taken")
    parser.add_argument("--steps", type=int, default=0, help=f"of {BATCH} faces, in a round; 10 on a CPU, 400 on a GPU")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the processor's data sheet")
    parser.add_argument("--csv", help="FER2013, to train until a validation accuracy")
    parser.add_argument("--reach", type=float, default=0.65, help="that accuracy")
    arguments = parser.parse_args()
    hardware = choose(parse_candidate({"architecture": "lenet", "backend": arguments.backend}, {}).train)
    arguments.steps = arguments.steps or (400 if hardware.device == "gpu" else 10)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (BATCH * arguments.steps, SIDE, SIDE)).astype(np.uint8)
    targets = np.eye(EMOTIONS, dtype=np.float32)[rng.integers(0, EMOTIONS, len(pixels))]
    print(
        f"Keras on {arguments.backend}, {hardware.name}, {hardware.precision}; "
        f"{platform.machine()}, batches of {BATCH}."
    )
    print(f"Images per second by the clock; the median of {arguments.repeats} rounds of {arguments.steps} batches.\n")
    columns = "bare `fit`, as it comes | bare `fit` | ours, no augmentation | ours | notebooks' placement | overhead"
    print(f"| network | {columns} | share of peak |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for architecture in ("lenet", "multi_kernel"):
        ways = ways_to_train(architecture, pixels, targets, arguments.steps, hardware)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(arguments.repeats + 1):
            for name, epoch in ways.items():
                started = time.perf_counter()
                epoch()
                if repeat:
                    seconds[name].append(time.perf_counter() - started)
        rates = {name: len(pixels) / statistics.median(times) for name, times in seconds.items()}
        ratio = statistics.median(ours / bare for ours, bare in zip(seconds["ours"], seconds["bare"], strict=True))
        shown = " | ".join(f"{rates[name]:.0f}" for name in ("plain", "bare", "still", "ours", "notebook"))
        used = 6 * multiply_adds_of(build(architecture)) * rates["ours"] / 1e12
        share = f"{used / arguments.peak:.1%}" if arguments.peak else ""
        print(f"| {architecture} | {shown} | {ratio - 1:+.1%} | {share} |")
    print(f"\nLoad of the machine meanwhile: {os.getloadavg()[0]:.1f}. `overhead`: ours against bare `fit`.")
    if arguments.csv:
        print_time_to(arguments.reach, arguments.csv, arguments.backend)


def ways_to_train(
    architecture: str, pixels: np.ndarray, targets: np.ndarray, steps: int, hardware: Hardware
) -> dict[str, Callable[[], Any]]:
    """Ways of training one epoch: bare fits, ours without and with augmentation, and the notebooks' generator."""
    import keras
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    from ferkit.training.build import build_network
    from ferkit.training.dataset_placement import OnDevice, in_batches
    from ferkit.training.fit import seed_layers
    from ferkit.training.optimizers import optimizer_for
    from ferkit.training.step import network_to_train, trainer

    keras.config.set_dtype_policy(hardware.precision)

    def bare() -> Any:
        seed_layers(0)
        candidate = parse_candidate({"architecture": architecture}, {})
        network: Any = build_network(candidate, SIDE)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        optimizer = optimizer_for(candidate.train, steps)
        network.compile(optimizer, loss, metrics=["accuracy"], jit_compile=hardware.xla)
        return network

    def ours(augment: bool) -> Callable[[], Any]:
        seed_layers(0)
        candidate = parse_candidate({"architecture": architecture, "augment": augment}, {})
        placement = OnDevice(pixels)
        model = trainer(network_to_train(candidate, SIDE, hardware), placement, candidate.train, steps, hardware)
        numbers = np.arange(len(pixels), dtype=np.int32)
        return lambda: model.fit(**placement.batches(BATCH, numbers, y=targets), shuffle=False, verbose=0)

    plain, spared, fed = bare(), bare(), bare()
    faces = pixels[..., None]
    generator = ImageDataGenerator(
        rotation_range=15, width_shift_range=0.1, height_shift_range=0.1, zoom_range=0.12, horizontal_flip=True
    )
    return {
        "plain": lambda: plain.fit(faces, targets, batch_size=BATCH, verbose=0),
        "bare": lambda: spared.fit(**in_batches(BATCH, x=faces, y=targets), verbose=0),
        "still": ours(False),
        "ours": ours(True),
        "notebook": lambda: fed.fit(generator.flow(faces, targets, batch_size=BATCH), verbose=0),
    }


def build(architecture: str) -> Any:
    """The network at its notebook's size."""
    from ferkit.training.build import build_network

    return build_network(parse_candidate({"architecture": architecture}, {}), SIDE)


def multiply_adds_of(network: Any) -> int:
    """Multiplications, with an addition each, of one face's way forward: those of convolutions and dense layers."""
    import keras

    multiplies = keras.layers.Conv2D | keras.layers.Dense
    layers: list[Any] = [layer for layer in network._flatten_layers() if isinstance(layer, multiplies)]
    return sum(math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1]) for layer in layers)


def print_time_to(accuracy: float, csv: str, backend: str) -> None:
    """Trains each candidate until validation first reaches `accuracy`; minutes hold compiling and scoring too."""
    from components.ingest.ingest import ingest_csv

    config = yaml.safe_load(CONFIG.read_text())
    with tempfile.TemporaryDirectory() as folder:
        ingest_csv(csv, Path(folder) / "faces")
        train, validation = (read_split(Path(folder) / "faces", split) for split in ("train", "validation"))
    print(
        f"\n| network, `configs/{CONFIG.name}` | epoch that reaches {accuracy} | minutes to there | images per second |"
    )
    print("| --- | --- | --- | --- |")
    for candidate in config["candidates"]:
        epochs, seconds, rate = time_to(accuracy, candidate | {"backend": backend}, config["train"], train, validation)
        reached = f"{epochs} | {seconds / 60:.1f}" if epochs else "none | "
        print(f"| {candidate['architecture']} | {reached} | {rate:.0f} |")


def time_to(
    accuracy: float, candidate: dict[str, Any], settings: dict[str, Any], train: Faces, validation: Faces
) -> tuple[int, float, float]:
    """The epoch that reaches it, 0 for none, the seconds to its end, and images per second of the fastest epoch."""
    from ferkit.training.fit import Epoch, fit

    class Reached(Exception):
        pass

    rates: list[float] = []

    def watch(number: int, epoch: Epoch) -> None:
        rates.append(epoch["images_per_second"])
        if epoch["val/accuracy"] >= accuracy:
            raise Reached

    parsed = parse_candidate(candidate, settings)
    hardware = choose(parsed.train)
    started = time.perf_counter()
    try:
        fit(parsed, train, validation, hardware, on_epoch=watch)
    except Reached:
        return len(rates), time.perf_counter() - started, max(rates)
    return 0, time.perf_counter() - started, max(rates)


if __name__ == "__main__":
    main()
