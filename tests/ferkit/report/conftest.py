"""What a report is written from."""

from __future__ import annotations

import pytest
from made_up_candidates import candidate, evaluation

from ferkit.data import EMOTIONS, Profile
from ferkit.metrics.evaluation import CandidateRun
from ferkit.metrics.paired import Difference
from ferkit.registry.settings import Register
from ferkit.registry.verdict import Contender, Scored, Verdict
from ferkit.report.report import Origin


@pytest.fixture
def candidates() -> list[CandidateRun]:
    return [
        candidate("b", "second", evaluation(2)),
        candidate("f", "failed <one>", None, "loss is no number after epoch 2"),
        candidate("a", "first & <best>", evaluation(1)),
    ]


@pytest.fixture
def data() -> Profile:
    of_each = dict.fromkeys(EMOTIONS, 50)
    record = {"rows": 350, "per_emotion": of_each, "in_train": 11, "digest": "e" * 32}
    return Profile(
        source={"csv": "fer.csv", "sha256": "9" * 64, "version": "sha256:9", "rows": 1100},
        side=48,
        splits={"train": record, "validation": record, "test": record},
        rejected={"constant image": 12},
        duplicates={
            "policy": "drop_from_train",
            "conflicting_labels": {"images": 41, "rows": 84},
            "dropped": {"in validation or test": 33},
        },
        balance={"made": {"flip": dict.fromkeys(EMOTIONS, 20)}},
    )


@pytest.fixture
def verdict() -> Verdict:
    interval = Difference(0.031, 0.004, 0.058)
    name = "first & <best>"
    return Verdict(
        status="approved",
        reasons=("clears the floors",),
        notes=("champion version 3 was trained on other data",),
        challenger=Scored("8", "a", name, 0.6, 0.58, dict.fromkeys(EMOTIONS, 0.6)),
        champion=Scored("3", "z", name, 0.6, 0.58, dict.fromkeys(EMOTIONS, 0.5) | {"fear": None}),
        compared_with="3",
        macro_f1=interval,
        accuracy=interval,
        recall=dict.fromkeys(EMOTIONS, interval),
        unseen=None,
        rows=350,
        test_digest="e" * 32,
        data_digest="f" * 32,
        policy=Register(allowed_loss=0.02, allowed_recall_loss=0.05),
        at="2026-11-21T04:00:00+00:00",
        candidates=(
            Contender("a", name, "8", "approved", 0.58),
            Contender("b", "second", "7", "not_gated", 0.56),
            Contender("f", "failed <one>", None, None, None),
        ),
        model="facial-expression",
    )


@pytest.fixture
def origin() -> Origin:
    return Origin("https://mlflow.example", "17", "4f" * 16, "2026-11-21 04:00 fer", {"csv": "fer.csv", "seeds": "[]"})
