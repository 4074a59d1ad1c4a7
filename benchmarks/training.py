"""What our training step costs beside a bare Keras fit, and beside the notebooks' way of feeding it.

    python -m benchmarks.training [--backend jax] [--repeats 5] > benchmarks/training.md

Interleaved in one process, on the same arrays, with the same network and optimizer, after a warm-up of each, by the
clock: run it on a machine that does nothing else. `as it comes` is a bare fit of plain arrays, where tf.data's
autotuner makes an epoch last as long as its sleep (see `in_batches` in components/train/feed.py); the other bare fit is
spared that, as ours is.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from components.train.candidate import parse_candidate
from components.train.hardware import Hardware, choose

BATCH = 128
EMOTIONS = 7
SIDE = 48


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="tensorflow", choices=["tensorflow", "jax"])
    parser.add_argument("--repeats", type=int, default=5, help="rounds, of which the median is taken")
    parser.add_argument("--steps", type=int, default=10, help=f"of {BATCH} faces, in a round")
    given = parser.parse_args()
    hardware = choose(parse_candidate({"architecture": "lenet", "backend": given.backend}, {}).train)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (BATCH * given.steps, SIDE, SIDE)).astype(np.uint8)
    targets = np.eye(EMOTIONS, dtype=np.float32)[rng.integers(0, EMOTIONS, len(pixels))]
    print(f"Keras on {given.backend}, {hardware.name}, {hardware.precision}; {platform.machine()}, batches of {BATCH}.")
    print(f"Images per second by the clock; the median of {given.repeats} rounds of {given.steps} batches.\n")
    print(
        "| network | bare `fit`, as it comes | bare `fit` | ours, no augmentation | ours | notebooks' feed | overhead |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for architecture in ("lenet", "multi_kernel"):
        ways = ways_to_train(architecture, pixels, targets, given.steps, hardware)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(given.repeats + 1):
            for name, epoch in ways.items():
                started = time.perf_counter()
                epoch()
                if repeat:
                    seconds[name].append(time.perf_counter() - started)
        rates = {name: len(pixels) / statistics.median(times) for name, times in seconds.items()}
        ratio = statistics.median(ours / bare for ours, bare in zip(seconds["ours"], seconds["bare"], strict=True))
        shown = " | ".join(f"{rates[name]:.0f}" for name in ("plain", "bare", "still", "ours", "notebook"))
        print(f"| {architecture} | {shown} | {ratio - 1:+.1%} |")
    print(f"\nLoad of the machine meanwhile: {os.getloadavg()[0]:.1f}. `overhead`: ours against bare `fit`.")


def ways_to_train(
    architecture: str, pixels: np.ndarray, targets: np.ndarray, steps: int, hardware: Hardware
) -> dict[str, Callable[[], Any]]:
    """Ways of training one epoch: bare fits, ours without and with augmentation, and the notebooks' generator."""
    import keras
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    from components.train.feed import FromDevice, in_batches
    from components.train.fit import build_network, optimizer_for, trainer

    def bare() -> Any:
        keras.utils.set_random_seed(0)
        candidate = parse_candidate({"architecture": architecture}, {})
        network: Any = build_network(candidate, SIDE)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        optimizer = optimizer_for(candidate.train, steps)
        network.compile(optimizer, loss, metrics=["accuracy"], jit_compile=hardware.xla)
        return network

    def ours(augment: bool) -> Callable[[], Any]:
        keras.utils.set_random_seed(0)
        candidate = parse_candidate({"architecture": architecture, "augment": augment}, {})
        feed = FromDevice(pixels)
        model = trainer(build_network(candidate, SIDE), feed, candidate.train, steps, hardware)
        numbers = np.arange(len(pixels), dtype=np.int32)
        return lambda: model.fit(**feed.batches(BATCH, numbers, y=targets), shuffle=False, verbose=0)

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


if __name__ == "__main__":
    main()
