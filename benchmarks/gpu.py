"""A config's candidates on one GPU, several side by side, by the training loop alone, with JAX.

    python -m benchmarks.gpu train FACES OUT --config configs/ablation-long.yaml [--at-once 6] [--minutes 8]
    python -m benchmarks.gpu table FACES OUT [--peak 989] [--test]
    python -m benchmarks.gpu together FACES MODEL.keras... [--test]

FACES is a data set folder, as `ingest` leaves it; its test split need not be there to train. OUT gets a JSON file of
every epoch, the kept weights, and the exported model's answers on validation, per training. It needs Keras, JAX and
what reads the faces: neither TensorFlow nor MLflow nor Kubeflow, so that it runs on a borrowed machine that has none.

Small networks leave a large GPU waiting for its host, so that several of them side by side take little longer than one;
large ones share its time. Minutes are those of a training among the others. `--minutes` ends what is still at work by
then, and leaves nothing of it: what an epoch is worth is known only at the end of its schedule. The same command goes
on with what is missing.

`table` prints means and standard deviations over seeds on validation, of the exported model with its views; with
`--peak`, the TFLOP/s of the GPU's data sheet, the share of it that the training uses (see benchmarks/training.py); with
`--test`, what the test split says of each training and of each group's seeds together, as the mean of their
probabilities. `together` prints the same of any exported models, from here or from a run in MLflow.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.training import SIDE, multiply_adds_of
from ferkit.data import EMOTIONS, Faces, read_split
from ferkit.metrics.classification import Scores
from ferkit.metrics.intervals import bootstrap_intervals
from ferkit.training.candidate import Candidate, parse_candidate
from ferkit.training.seeds import expand_seeds

REACHED = (0.65, 0.70)
"""Validation accuracies whose first epoch is told."""

ON_GPU = {"backend": "jax", "deterministic": False, "require_gpu": True}


@dataclass(frozen=True)
class Training:
    """What one training left in the folder.

    Attributes:
        name: of its files.
        candidate: what was trained.
        epochs: the metrics of each, and `elapsed`, seconds since the start of the training.
        best_epoch: the kept one, from 1.
        seconds: of the whole training, compiling and scoring included.
        device: the GPU's name.
        at_once: how many trainings shared it at most.
    """

    name: str
    candidate: dict[str, Any]
    epochs: list[dict[str, float]]
    best_epoch: int
    seconds: float
    device: str
    at_once: int

    @property
    def group(self) -> str:
        """What it shares with the same candidate of other seeds."""
        return json.dumps({key: value for key, value in self.candidate.items() if key != "seed"}, sort_keys=True)

    def reaches(self, accuracy: float) -> int:
        """The first epoch with that accuracy on validation, one view of each face; 0 for none."""
        return next((n for n, epoch in enumerate(self.epochs, 1) if epoch["val/accuracy"] >= accuracy), 0)


def main() -> None:
    """Trains, or prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("train", "one", "table"):
        added = commands.add_parser(command)
        added.add_argument("faces", type=Path)
        added.add_argument("out", type=Path)
        if command == "table":
            added.add_argument("--peak", type=float, help="TFLOP/s of the GPU's data sheet")
            added.add_argument("--test", action="store_true", help="read the test split, too")
            continue
        added.add_argument("--at-once", type=int, default=6, help="trainings side by side")
        if command == "train":
            added.add_argument("--config", type=Path, required=True)
            added.add_argument("--minutes", type=float, default=60, help="when to have ended")
    joined = commands.add_parser("together")
    joined.add_argument("faces", type=Path)
    joined.add_argument("models", type=Path, nargs="+")
    joined.add_argument("--test", action="store_true", help="read the test split, too")
    arguments = parser.parse_args()
    if arguments.command == "train":
        train_all(arguments.faces, arguments.out, arguments.config, arguments.at_once, arguments.minutes)
    elif arguments.command == "one":
        train_one(json.load(sys.stdin), arguments.faces, arguments.out, arguments.at_once)
    elif arguments.command == "together":
        print_together(arguments.faces, arguments.models, arguments.test)
    else:
        print_table(arguments.faces, arguments.out, arguments.peak, arguments.test)


def read_candidates(config: Path) -> list[tuple[str, dict[str, Any]]]:
    """Name and settings of every training of a config, in its order, each complete."""
    read = yaml.safe_load(config.read_text())
    if read.get("balance", {}).get("strategy", "") != "none":
        raise SystemExit(f"{config}: balance.strategy is not none; use the folder that `balance` made, and none")
    expanded = [seeded for candidate in read["candidates"] for seeded in expand_seeds(candidate)]
    return [
        (f"{number:02}-{candidate['architecture']}-s{candidate.get('seed', 0)}", candidate)
        for number, candidate in enumerate(
            (parse_candidate(each | ON_GPU, read.get("train", {})).dump() for each in expanded), 1
        )
    ]


def train_all(faces: Path, out: Path, config: Path, at_once: int, minutes: float) -> None:
    """Trains the candidates in the config's order, `at_once` side by side, each in a process of its own."""
    out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * minutes
    waiting = [(name, each) for name, each in read_candidates(config) if not (out / f"{name}.json").exists()]
    running: dict[str, subprocess.Popen[str]] = {}
    # The memory is shared, and a network is compiled once for all its seeds.
    environment = {"JAX_COMPILATION_CACHE_DIR": str(out / "compiled")} | os.environ
    environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    while (waiting or running) and time.monotonic() < end:
        while waiting and len(running) < at_once:
            name, candidate = waiting.pop(0)
            command = [sys.executable, "-m", "benchmarks.gpu", "one", str(faces), str(out), "--at-once", str(at_once)]
            running[name] = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment)
            with running[name].stdin as asked:  # pyright: ignore[reportOptionalContextManager]
                asked.write(json.dumps({"name": name, "candidate": candidate}))
        running = {name: process for name, process in running.items() if process.poll() is None}
        time.sleep(0.2)
    for name, process in running.items():
        process.kill()
        print(f"{name}: not over in time", flush=True)
    for name, _ in waiting:
        print(f"{name}: not begun", flush=True)


def train_one(asked: dict[str, Any], faces: Path, out: Path, at_once: int) -> None:
    """Trains one candidate, and leaves its three files."""
    from ferkit.training.hardware import choose

    candidate = Candidate.load(asked["candidate"])
    hardware = choose(candidate.train)

    from ferkit.training.build import save_network
    from ferkit.training.fit import fit

    train, validation = read_split(faces, "train"), read_split(faces, "validation")
    epochs: list[dict[str, float]] = []
    started = time.perf_counter()

    def watch(number: int, epoch: dict[str, float]) -> None:
        epochs.append(epoch | {"elapsed": time.perf_counter() - started})
        if number == 1 or number % 20 == 0:
            print(f"{asked['name']}: {number}: {json.dumps(epochs[-1])}", flush=True)

    trained = fit(candidate, train, validation, hardware, on_epoch=watch)
    training = Training(
        name=asked["name"],
        candidate=candidate.dump(),
        epochs=epochs,
        best_epoch=trained.best_epoch,
        seconds=time.perf_counter() - started,
        device=hardware.name,
        at_once=at_once,
    )
    model = save_network(trained.network, candidate, train.side, out / f"{asked['name']}.keras")
    answers = predict(model, validation.pixels)
    np.save(out / f"{asked['name']}.validation.npy", answers)
    (out / f"{asked['name']}.json").write_text(json.dumps(vars(training)))
    metrics = Scores(validation.emotion, answers).metrics()
    print(f"{asked['name']}: {training.seconds:.0f} s, validation {json.dumps(metrics)}", flush=True)


def predict(model: Any, pixels: np.ndarray) -> np.ndarray:
    """An exported model's probabilities, float32 (n, 7), for faces uint8 (n, side, side)."""
    from ferkit.training.dataset_placement import in_batches

    return np.asarray(model.predict(**in_batches(512, x=pixels[..., None]), verbose=0), np.float32)


def print_table(faces: Path, out: Path, peak: float | None, test: bool) -> None:
    """Prints a row per group of seeds; with `test`, a second table of test, a row per training and per group."""
    trainings = [Training(**json.loads(path.read_text())) for path in sorted(out.glob("*.json"))]
    groups = [list(group) for group in _groups(trainings)]
    truth = read_split(faces, "validation").emotion
    common = _common([training.candidate for training in trainings])
    print("| candidate | n | epochs, kept | validation accuracy | macro-F1 | recall of disgust | together: accuracy "
          "| macro-F1 | epoch of 0.65 | of 0.70 | minutes | images per second | share of peak |")  # fmt: skip
    print("|" + " --- |" * 13)
    for group in groups:
        scores = [Scores(truth, np.load(out / f"{each.name}.validation.npy")) for each in group]
        joined = Scores(truth, np.mean([each.probabilities for each in scores], axis=0))
        together = [f"{joined.metrics()[name]:.3f}" if len(group) > 1 else "" for name in ("accuracy", "macro_f1")]
        kept = ", ".join(str(each.best_epoch) for each in group)
        rate = statistics.median(epoch["images_per_second"] for each in group for epoch in each.epochs[1:])
        first = [", ".join(str(each.reaches(level) or "none") for each in group) for level in REACHED]
        cells = [
            *(_spread([each.metrics()[name] for each in scores]) for name in ("accuracy", "macro_f1")),
            _spread([_recall_of_disgust(each) for each in scores]),
            *together,
            *first,
            _spread([each.seconds / 60 for each in group], digits=1),
            f"{rate:.0f}",
            f"{6 * multiply_adds(group[0].candidate) * rate / 1e12 / peak:.1%}" if peak else "",
        ]
        described = [_describe(group[0], trainings), str(len(group)), f"{len(group[0].epochs)}; {kept}"]
        print(f"| {' | '.join(described + cells)} |")
    devices = {f"{each.device}, {each.at_once} side by side" for each in trainings}
    print(f"\n{'; '.join(sorted(devices))}. Shared by all: {_named(common)}.")
    if test:
        print_test(trainings, groups, faces, out)


def multiply_adds(candidate: dict[str, Any]) -> int:
    """Of one face's way forward, convolutions and dense layers alone; a step of training counts as three of it."""
    from ferkit.training.build import build_network

    return multiply_adds_of(build_network(Candidate.load(candidate), SIDE))


def print_test(trainings: list[Training], groups: list[list[Training]], faces: Path, out: Path) -> None:
    """Reads the test split once for every training, and keeps the answers."""
    import keras

    split = read_split(faces, "test")
    print("\n| candidate | seed | test accuracy [95%] | macro-F1 [95%] | recall of disgust | test_clean accuracy "
          "| macro-F1 |")  # fmt: skip
    print("|" + " --- |" * 7)
    for group in groups:
        answers = []
        for training in group:
            path = out / f"{training.name}.test.npy"
            if not path.exists():
                np.save(path, predict(keras.saving.load_model(out / f"{training.name}.keras"), split.pixels))
            answers.append(np.load(path))
        rows = [(str(each.candidate["seed"]), answer) for each, answer in zip(group, answers, strict=True)]
        if len(group) > 1:
            rows.append(("all together", np.mean(answers, axis=0)))
        for seed, answer in rows:
            cells = _scored(split, answer)
            print(f"| {_describe(group[0], trainings)} | {seed} | {' | '.join(cells)} |", flush=True)


def print_together(faces: Path, models: list[Path], test: bool) -> None:
    """Prints a row per exported model, and one for the mean of their probabilities, of each split."""
    import keras

    networks = [keras.saving.load_model(path) for path in models]
    for name in ("validation", "test") if test else ("validation",):
        split = read_split(faces, name)
        answers = [predict(network, split.pixels) for network in networks]
        print(f"\n| {name} | accuracy [95%] | macro-F1 [95%] | recall of disgust | unseen: accuracy | macro-F1 |")
        print("|" + " --- |" * 6)
        for model, answer in [*zip(map(str, models), answers, strict=True), ("together", np.mean(answers, axis=0))]:
            print(f"| {model} | {' | '.join(_scored(split, answer))} |", flush=True)


def _scored(split: Faces, answer: np.ndarray) -> list[str]:
    """Accuracy and macro-F1 with intervals, recall of disgust; both again without rows that are in training's, too."""
    clean = ~split.in_train
    scores, unseen = Scores(split.emotion, answer), Scores(split.emotion[clean], answer[clean]).metrics()
    found, metrics = bootstrap_intervals(scores.confusion), scores.metrics()
    intervals = [
        f"{metrics[name]:.3f} [{ends.low:.3f}, {ends.high:.3f}]"
        for name, ends in (("accuracy", found.accuracy), ("macro_f1", found.macro_f1))
    ]
    return [*intervals, f"{_recall_of_disgust(scores):.3f}", f"{unseen['accuracy']:.3f}", f"{unseen['macro_f1']:.3f}"]


def _groups(trainings: list[Training]) -> Iterator[list[Training]]:
    for group in dict.fromkeys(training.group for training in trainings):
        yield [training for training in trainings if training.group == group]


def _common(candidates: list[dict[str, Any]]) -> dict[str, Any]:
    first, *others = candidates
    return {
        key: value
        for key, value in first.items()
        if key != "seed" and all(key in each and each[key] == value for each in others)
    }


def _describe(training: Training, trainings: list[Training]) -> str:
    """What tells it from the others of its architecture."""
    architecture = training.candidate["architecture"]
    common = _common([each.candidate for each in trainings if each.candidate["architecture"] == architecture])
    own = {key: value for key, value in training.candidate.items() if key not in common and key != "seed"}
    return f"{architecture} {_named(own)}".strip()


def _named(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in settings.items())


def _spread(values: list[float], digits: int = 3) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean


def _recall_of_disgust(scores: Scores) -> float:
    return float(scores.metrics_per_emotion()["recall"][EMOTIONS.index("disgust")])


if __name__ == "__main__":
    main()
