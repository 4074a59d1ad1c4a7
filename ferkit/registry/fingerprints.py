"""Which faces a model was trained on, so that a later test split can be checked for them.

Every pipeline run keeps the digests of its training faces: 8 bytes a face, 230 kB for FER2013. A champion of last year
was trained on last year's rows; when the data was split again since, some of them may be test rows today, and it knows
them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import mlflow
import numpy as np

from ferkit.data import DIGEST, READ_AT_A_TIME, digest_pixels, read_split_in_chunks
from ferkit.registry.origins import keeper_of_training_faces
from ferkit.registry.versions import Version

ARTIFACT: Final = "data/training_faces.npy"


def digest_faces(pixels: np.ndarray) -> np.ndarray:
    """uint8 (n, side, side) -> uint64 (n,): the first 64 bits of each face's digest, whatever its label.

    Among 35,887 faces two different ones share a digest with a probability of 3e-11.
    """
    return np.frombuffer(digest_pixels(pixels), np.uint64)[:: DIGEST // 8]


def digest_training_faces(folder: Path) -> np.ndarray:
    """The digests of a data set's training faces without the augmented ones: uint64, sorted, each once."""
    train = read_split_in_chunks(folder, "train", READ_AT_A_TIME)
    digests = [digest_faces(chunk.pixels[chunk.technique == "original"]) for chunk in train]
    return np.unique(np.concatenate(digests))


def keep_training_faces(client: mlflow.MlflowClient, run_ids: Iterable[str], faces: Path) -> None:
    """Logs the digests of a data set's training faces to runs."""
    digests = digest_training_faces(faces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(ARTIFACT).name
        np.save(path, digests)
        for run_id in run_ids:
            client.log_artifact(run_id, str(path), str(Path(ARTIFACT).parent))


def find_trained_on(client: mlflow.MlflowClient, version: Version, pixels: np.ndarray) -> np.ndarray | None:
    """Which of the faces the version was trained on.

    Args:
        client: of the MLflow that holds the version's run.
        version: of the registered model.
        pixels: uint8 (n, side, side).

    Returns:
        bool (n,); None where its run keeps no list of its training faces.
    """
    run_id = keeper_of_training_faces(client, version)
    if not run_id:
        return None
    with tempfile.TemporaryDirectory() as folder:
        try:
            trained_on = np.load(client.download_artifacts(run_id, ARTIFACT, folder))
        except (mlflow.MlflowException, OSError):  # the run, or its files, were deleted since
            return None
        return np.isin(digest_faces(pixels), trained_on)
