"""What float32 and bfloat16 cost on this processor, with Keras' batch norm and with it in one operation.

    python -m benchmarks.precision [--repeats 4] [--steps 6] > benchmarks/precision.md

Each row in a process of its own: training steps of configs/fer2013.yaml's network on drawn faces, after one round
to warm up. Counted in seconds that the processor worked for the process, of the fastest round: other work on the
machine makes it wait, which does not count, and takes its caches, which does.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

from ferkit.cores import usable_cores
from ferkit.data import EMOTIONS
from ferkit.training.candidate import parse_candidate
from ferkit.training.hardware import choose, cpu_has_bfloat16

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "fer2013.yaml"
SIDE = 48

WAYS = {
    "TensorFlow, batch norm in one operation": {"backend": "tensorflow"},
    "TensorFlow, Keras' batch norm": {"backend": "tensorflow"},
    "TensorFlow, XLA": {"backend": "tensorflow", "compile": "xla"},
    "JAX": {"backend": "jax"},
}


def main() -> None:
    """Prints the table, or with `--way` and `--precision` one figure of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=4, help="rounds, of which the fastest counts")
    parser.add_argument("--steps", type=int, default=6, help="steps in a round")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(rate_of(arguments.way, arguments.precision, arguments.repeats, arguments.steps))
        return
    has = "with" if cpu_has_bfloat16() else "without"
    print(
        f"{usable_cores()} cores, {platform.machine()}, {has} AVX512-BF16. Images a second, were all cores ours alone;"
    )
    print(
        f"the fastest of {arguments.repeats} rounds of {arguments.steps} steps; "
        f"load {os.getloadavg()[0]:.1f} before it.\n"
    )
    print("| | float32 | bfloat16 |\n| --- | --- | --- |")
    command = [
        sys.executable,
        "-m",
        "benchmarks.precision",
        f"--repeats={arguments.repeats}",
        f"--steps={arguments.steps}",
    ]
    for way in WAYS:
        rates = [
            subprocess.run(
                [*command, f"--way={way}", f"--precision={precision}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                check=True,
            ).stdout.strip()
            for precision in ("float32", "bfloat16")
        ]
        print(f"| {way} | {' | '.join(rates)} |", flush=True)


def rate_of(way: str, precision: str, repeats: int, steps: int) -> int:
    """Faces per second of all cores' own time."""
    config = yaml.safe_load(CONFIG.read_text())
    candidate = parse_candidate(config["candidates"][0] | WAYS[way] | {"precision": precision}, config["train"])
    hardware = choose(candidate.train)
    from ferkit.networks.fused_batch_norm import fuse_batch_norm
    from ferkit.networks.network import arithmetic_in
    from ferkit.training.build import build_network
    from ferkit.training.dataset_placement import OnDevice
    from ferkit.training.fit import seed_layers
    from ferkit.training.step import trainer

    seed_layers(0)
    with arithmetic_in(hardware.precision):
        network = build_network(candidate, SIDE)
    if way.endswith("in one operation"):
        fuse_batch_norm(network)
    batch = candidate.train.batch_size or 128
    rng = np.random.default_rng(0)
    placement = OnDevice(rng.integers(0, 256, (batch * steps, SIDE, SIDE)).astype(np.uint8))
    targets = np.eye(len(EMOTIONS), dtype=np.float32)[rng.integers(0, len(EMOTIONS), batch * steps)]
    model = trainer(network, placement, candidate.train, steps, hardware)
    order = np.arange(batch * steps, dtype=np.int32)
    fastest = float("inf")
    for round_ in range(repeats + 1):
        started = time.process_time()
        model.fit(**placement.batches(batch, order, y=targets), shuffle=False, verbose=0)
        if round_:
            fastest = min(fastest, time.process_time() - started)
    return round(usable_cores() * batch * steps / fastest)


if __name__ == "__main__":
    main()
