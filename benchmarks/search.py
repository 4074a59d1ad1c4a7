"""TPE with pruning beside the full grid, on a space whose best point the grid finds: epochs and what they bought.

    python -m benchmarks.search [--faces 5000] [--trials 12] [--seeds 5] > benchmarks/search.md

The drawn sample, with learning rates at which nothing is learnt planted among the good ones. Every point of the grid is
trained once, without MLflow and without `train.reuse`. A search then decides and prunes by the pipeline's own code
(`ferkit.search.study`), one trial at a time; what a trial comes to, epoch by epoch, is what the grid's training of that
point came to: trainings are deterministic, so training it again would log the same metrics bit for bit
(tests/ferkit/training). All epochs that a search's trials train count, pruned ones up to their last epoch.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.ingest.ingest import ingest_csv
from components.ingest.parameters import Ingest
from ferkit.data import Faces, read_split
from ferkit.data.sample import draw_csv
from ferkit.metrics.classification import Scores
from ferkit.metrics.intervals import Interval, bootstrap_intervals
from ferkit.search.settings import Search
from ferkit.search.space import Spaces
from ferkit.search.study import Told, first_epoch, has_fallen_behind, next_point
from ferkit.training.candidate import parse_candidate
from ferkit.training.hardware import choose

EPOCHS = 5
BAD = (0.00001, 0.5)
"""Learning rates at which a network of this size learns nothing in so few epochs, or falls apart."""
SPACE: dict[str, Any] = {
    "architecture": "lenet",
    "width": 0.125,
    "learning_rate": [BAD[0], 0.001, 0.003, 0.01, 0.03, BAD[1]],
    "dropout": [0.0, 0.4],
    "random_affine": [True, False],
}
TRAIN: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 32, "tta": "none", "patience": 0, "rotation": 8, "shift": 0.06}


@dataclass(frozen=True)
class Point:
    """A point of the grid, trained.

    Attributes:
        learning_rate: of it.
        history: macro-F1 on validation by epoch; shorter than `EPOCHS` where the training diverged.
        interval: 95%, of the score at the kept epoch, over validation's faces.
    """

    learning_rate: float
    history: Sequence[float]
    interval: Interval

    @property
    def diverged(self) -> bool:
        return len(self.history) < EPOCHS

    @property
    def score(self) -> float:
        """At the epoch that is kept; none for one that diverged."""
        return 0.0 if self.diverged else max(self.history)


@dataclass(frozen=True)
class Searched:
    """What a search came to: its epochs, trials pruned, trials at a bad learning rate, its best point."""

    epochs: int
    pruned: int
    bad: int
    best: Point


def train_point(values: Mapping[str, Any], train: Faces, validation: Faces) -> Point:
    """Trains one point to its end."""
    candidate = parse_candidate(values, TRAIN)
    hardware = choose(candidate.train)
    from ferkit.training.fit import Diverged, fit

    history: list[float] = []
    try:
        trained = fit(
            candidate,
            train,
            validation,
            hardware,
            on_epoch=lambda number, epoch: history.append(epoch["val/macro_f1"]),
        )
    except Diverged:
        return Point(values["learning_rate"], history, Interval(0.0, 0.0))
    answers: Any = trained.network.predict(validation.pixels[..., None].astype(np.float32), verbose=0)
    found = bootstrap_intervals(Scores(validation.emotion, answers).confusion).macro_f1
    return Point(values["learning_rate"], history, found)


def search_grid(grid: Mapping[str, Point], search: Search, spaces: Spaces) -> Searched:
    """A search over trained points, trial after trial."""
    told: list[Told] = []
    finished: list[dict[int, float]] = []
    tried: list[Point] = []
    epochs = 0
    while len(told) < search.trials and (point := next_point(search, spaces, told)) is not None:
        trained = grid[spaces.key(point)]
        tried.append(trained)
        scores: dict[int, float] = {}
        ended = Told(point, "diverged") if trained.diverged else Told(point, "trained", trained.score)
        epochs += trained.diverged  # the epoch at which it fell apart
        for epoch, value in enumerate(trained.history, 1):
            scores[epoch] = value
            epochs += 1
            if first_epoch(EPOCHS) <= epoch < EPOCHS and has_fallen_behind(scores, finished, EPOCHS):
                ended = Told(point, "pruned", value, epoch)
                break
        if ended.ending == "trained":
            finished.append(scores)
        told.append(ended)
    ends = list(zip(told, tried, strict=True))
    best = max((point for end, point in ends if end.ending == "trained"), key=lambda point: point.score)
    pruned = sum(end.ending == "pruned" for end in told)
    return Searched(epochs, pruned, sum(point.learning_rate in BAD for point in tried), best)


def by_chance(points: int, good: int, drawn: int) -> float:
    """The probability that some of `drawn` different points, of all, are among the good ones."""
    return 1 - math.comb(points - good, drawn) / math.comb(points, drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=5000)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        draw_csv(Path(scratch, "sample.csv"), faces=asked.faces, seed=0)
        ingest_csv(str(Path(scratch, "sample.csv")), Path(scratch, "faces"), Ingest())
        train, validation = (read_split(Path(scratch, "faces"), split) for split in ("train", "validation"))
    searches = [
        Search.parse({"method": "tpe", "trials": asked.trials, "seed": seed, "space": SPACE})
        for seed in range(asked.seeds)
    ]
    spaces = Spaces.parse(searches[0], TRAIN)
    grid = {spaces.key(point): train_point(point.values, train, validation) for point in spaces.all_points()}
    print_table(grid, [search_grid(grid, search, spaces) for search in searches], asked, len(train), len(validation))


def print_table(
    grid: Mapping[str, Point], searches: Sequence[Searched], asked: argparse.Namespace, train: int, validation: int
) -> None:
    points = list(grid.values())
    best = max(points, key=lambda point: point.score)
    spent = sum(len(point.history) + point.diverged for point in points)
    equal = sum(point.score >= best.interval.low for point in points)
    bad = [point for point in points if point.learning_rate in BAD]
    ratios = [search.epochs / spent for search in searches]
    chance = by_chance(len(points), equal, asked.trials)
    within = [search.best.score >= best.interval.low for search in searches]
    print("# A search beside the full grid\n")
    print(
        f"`python -m benchmarks.search --faces {asked.faces} --trials {asked.trials} --seeds {asked.seeds}`: "
        f"{train:,} training faces of the drawn\nsample, {validation} of validation, lenet at an eighth of its width, "
        f"{EPOCHS} epochs; learning rates {', '.join(map(str, SPACE['learning_rate']))},\nof which {BAD[0]} and "
        f"{BAD[1]} are planted; dropout 0 or 0.4; with and without random affine moves.\n"
    )
    print("| | epochs | of the grid's | pruned | at a bad rate | macro-F1, validation | 95% |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    print(
        f"| full grid, {len(points)} trainings | {spent} | 1.00 | | {len(bad)} | {best.score:.3f} | "
        f"{best.interval.low:.3f} to {best.interval.high:.3f} |"
    )
    for seed, search in enumerate(searches):
        ends = search.best.interval
        print(
            f"| TPE, {asked.trials} trials, seed {seed} | {search.epochs} | {search.epochs / spent:.2f} | "
            f"{search.pruned} | {search.bad} | {search.best.score:.3f} | {ends.low:.3f} to {ends.high:.3f} |"
        )
    print(
        f"\nOf {len(searches)} searches {sum(within)} found a point within the interval of the grid's best; they "
        f"trained {statistics.fmean(ratios):.2f} of the grid's epochs in\nthe mean, {max(ratios):.2f} at most. "
        f"{equal} of the grid's {len(points)} points are within that interval, so {asked.trials} points drawn "
        f"at random and trained to their end would hold one of them\nwith a probability of {chance:.2f}, "
        f"for {asked.trials / len(points):.2f} of the epochs. The best at a planted rate came to "
        f"{max(point.score for point in bad):.3f}.\n\n"
        "Intervals are bootstrap intervals over validation's faces. n: one training of each point, so one grid; the "
        f"{len(searches)} seeds are those\nof the search alone."
    )


if __name__ == "__main__":
    main()
