"""Candidates of a report, with scores that were drawn."""

from __future__ import annotations

import numpy as np

from ferkit.metrics.classification import Scores
from ferkit.metrics.evaluation import CandidateRun, Evaluation, Mistake, describe_split
from ferkit.serving.package import as_base64_png


def evaluation(seed: int, absent: int | None = None) -> Evaluation:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 7, 400).astype(np.uint8)
    if absent is not None:
        truth[truth == absent] = (absent + 1) % 7
    probabilities = generator.dirichlet(np.ones(7), 400).astype(np.float32)
    probabilities[np.arange(400), truth] += 0.4
    scores = Scores(truth, probabilities / probabilities.sum(axis=1, keepdims=True))
    splits = {split: describe_split(scores, "d" * 32, 200, 0) for split in ("validation", "test", "test_clean")}
    png = as_base64_png(generator.integers(0, 256, (48, 48), dtype=np.uint8))
    return Evaluation(48, "d" * 32, splits, [Mistake(7, "sad", "fear", 0.97, 0.01, png)])


def candidate(run_id: str, name: str, found: Evaluation | None, failure: str = "") -> CandidateRun:
    metrics = {"images_per_second": 431.0}
    parameters = {"epochs": "30", "seed": run_id, "balance.strategy": "none"}
    tags = {"git.commit": "c" * 40}
    return CandidateRun(run_id, "1", name, "FINISHED", failure, "lenet", parameters, metrics, tags, found)
