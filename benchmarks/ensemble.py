"""What an ensemble costs, beside its members one by one: time of a batch, and size of the file.

    python benchmarks/ensemble.py [--rounds 15]

The ensemble is one graph and one call, so its batch should take as long as its members' batches together. All take
turns in one process, and each round measures one ratio, so that it holds on a machine that is busy with something else;
time is the process's own processor time. Members are untrained; their cost is that of trained ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 512
MEMBERS = (
    {"architecture": "lenet", "recipe": "notebook"},
    {"architecture": "multi_kernel", "recipe": "notebook"},
    {"architecture": "lenet", "recipe": "tuned", "width": 0.5},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="batches of each")
    rounds = parser.parse_args().rounds
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as loading a model does, but TensorFlow reads it once
    with tempfile.TemporaryDirectory() as folder:
        files = write_models(Path(folder))
        times = measure(files, rounds)
        sizes = [file.stat().st_size / 1e6 for file in files]
    *members, ensemble = times
    ratios = ensemble / np.sum(members, axis=0)
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    print(
        f"processor time of a batch of {BATCH} faces, {rounds} rounds; load {os.getloadavg()[0]:.1f} of others and ours"
    )
    for member, taken, size in zip(MEMBERS, members, sizes, strict=False):
        print(f"{' '.join(map(str, member.values())):<24} {np.median(taken) * 1e3:8.0f} ms  {size:6.2f} MB")
    print(f"{'ensemble':<24} {np.median(ensemble) * 1e3:8.0f} ms  {sizes[-1]:6.2f} MB")
    print(f"ensemble / sum of members: {middle:.3f} (quartiles {low:.3f} to {high:.3f})")


def write_models(folder: Path) -> list[Path]:
    """The members' exported files, and their ensemble's."""
    import keras

    from ferkit.networks.ensemble import average_networks
    from ferkit.training.build import build_network, save_network
    from ferkit.training.candidate import parse_candidate

    files = []
    for number, member in enumerate(MEMBERS):
        candidate = parse_candidate(member, {})
        files.append(folder / f"{number}.keras")
        save_network(build_network(candidate, 48), candidate, 48, files[-1])
    networks: list[Any] = [keras.saving.load_model(file, compile=False) for file in files]
    average_networks(networks, [1 / len(networks)] * len(networks)).save(folder / "ensemble.keras")
    return [*files, folder / "ensemble.keras"]


def measure(files: list[Path], rounds: int) -> np.ndarray:
    """Processor seconds of a batch: float64 (files, rounds). The first of each is not counted: it compiles."""
    import keras

    networks: list[Any] = [keras.saving.load_model(file, compile=False) for file in files]
    faces = np.random.default_rng(0).integers(0, 256, (BATCH, 48, 48, 1), np.uint8)
    times = np.empty((len(networks), rounds + 1))
    for turn in range(rounds + 1):
        for number, network in enumerate(networks):
            start = time.process_time()
            network.predict_on_batch(faces)
            times[number, turn] = time.process_time() - start
    return times[:, 1:]


if __name__ == "__main__":
    main()
