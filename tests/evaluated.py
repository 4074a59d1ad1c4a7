"""A pipeline run whose candidates were evaluated, with networks that nobody trained: for what comes after."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import mlflow
from mlflow.entities import Run

from components.ensemble.ensemble import join_finalists
from components.ensemble.parameters import Ensemble
from components.evaluate.evaluate import evaluate_candidate
from components.evaluate.parameters import Evaluate
from ferkit.data import read_profile, read_split
from ferkit.serving.package import log_face_model
from ferkit.tracking import active_run, names, tree
from ferkit.tracking.candidates import NewCandidate, open_candidates, set_state
from ferkit.tracking.names import State
from ferkit.tracking.ranking import rank
from ferkit.tracking.store import connect

LOG = logging.getLogger("test")


@dataclass(frozen=True)
class Evaluated:
    """A pipeline run whose three candidates were evaluated.

    Attributes:
        client: of its store.
        parent: its run.
        members: the candidates' runs, the best on validation first.
        folder: the data set.
    """

    client: mlflow.MlflowClient
    parent: Run
    members: list[Run]
    folder: Path

    def join(self, parameters: Ensemble, run_ids: list[str] | None = None) -> str:
        run_ids = [run.info.run_id for run in self.members] if run_ids is None else run_ids
        return join_finalists(self.client, self.parent, run_ids, self.folder, parameters, LOG)


def network(path: Path, seed: int) -> Path:
    """A network that nobody trained, over the means of 36 areas of a face."""
    faces = keras.Input((48, 48, 1))
    areas = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(keras.layers.Rescaling(1 / 127.5, -1)(faces)))
    start: Any = keras.initializers.RandomNormal(stddev=1.0, seed=seed)
    keras.Model(faces, keras.layers.Dense(7, "softmax", kernel_initializer=start)(areas)).save(path)
    return path


def evaluate_three(tracking_uri: str, sample_faces: Path, place: Path) -> Evaluated:
    """Three candidates, opened, logged and evaluated in a store; `place` is a folder for their networks."""
    client = connect(tracking_uri)
    parent = client.create_run(tree.experiment_id(client, names.EXPERIMENT), tags={names.RUN_KIND: "pipeline"})
    profile, example = read_profile(sample_faces), read_split(sample_faces, "validation").pixels[:1]
    tags = {names.DATA_DIGEST: profile.digest, names.DATA_NAME: "sample", names.GIT_COMMIT: "0" * 40}
    opened = open_candidates(
        client,
        parent,
        [NewCandidate(f"c{n}", f"lenet-s{n}", "lenet", {"seed": n}, tags) for n in range(3)],
        {names.PARENT_NAME: str(parent.info.run_name)},
        {"ingest.duplicates": "keep", "balance.strategy": "none"},
    )
    for seed, run_id in enumerate(opened):
        with active_run.writing_to(run_id):
            log_face_model(network(place / "network.keras", seed), side=profile.side, example=example)
        set_state(client, run_id, State.TRAINED)
        evaluate_candidate(client, run_id, sample_faces, Evaluate(resamples=100))
    members = sorted(map(client.get_run, opened), key=rank, reverse=True)
    return Evaluated(client, parent, members, sample_faces)
