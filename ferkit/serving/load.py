"""Loading a logged or registered model, to score with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferkit.data import EMOTIONS
from ferkit.errors import OutOfReach, UserError
from ferkit.store_errors import is_out_of_reach


@dataclass(frozen=True)
class FaceModel:
    """A model as `evaluate`, `register` and `predict` use it: past the table of its pyfunc, straight to the arrays.

    Attributes:
        uri: where it was loaded from.
        side: height and width of a face in pixels.
    """

    uri: str
    side: int
    classifier: Any

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Scores faces, in batches.

        Args:
            pixels: uint8 (n, side, side), grey levels 0..255.

        Returns:
            float32 (n, 7), in the order of `EMOTIONS`.

        Raises:
            UserError: the faces have another size, or the network returns something other than numbers.
        """
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (self.side, self.side):
            raise UserError(
                f"{self.uri}: takes uint8 faces of {self.side} x {self.side} pixels "
                f"(received {pixels.dtype} {pixels.shape}); score it on the kind of data it was trained on"
            )
        probabilities = self.classifier.probabilities(pixels)
        if not np.isfinite(probabilities).all():
            raise UserError(
                f"{self.uri}: returns {np.count_nonzero(~np.isfinite(probabilities))} values that are no numbers"
            )
        return probabilities


def load_face_model(model_uri: str) -> FaceModel:
    """Loads a model with the code it carries, whatever version of this project is installed.

    Args:
        model_uri: `runs:/<run_id>/model`, `models:/facial-expression@champion` or `models:/facial-expression/3`.

    Raises:
        UserError: there is none, or it does not load here; the sentence says why.
    """
    import mlflow

    logging.getLogger("mlflow.utils.requirements_utils").setLevel(
        logging.ERROR
    )  # its advice on versions, at every load
    try:
        classifier = mlflow.pyfunc.load_model(model_uri).unwrap_python_model()
        side, emotions = int(classifier.side), tuple(classifier.emotions)
    except Exception as error:  # whatever a stored model's own code may raise
        reason = " ".join(str(error).split())
        # MLflow's error for an artifact that is not there is an OSError without a number.
        missing = isinstance(error, FileNotFoundError) or (type(error) is OSError and error.errno is None)
        kind = OutOfReach if is_out_of_reach(error) and not missing else UserError
        raise kind(f"{model_uri}: cannot be loaded ({type(error).__name__}: {reason[:400]})") from error
    if emotions != EMOTIONS:
        raise UserError(f"{model_uri}: tells apart {', '.join(emotions)}, not this project's {', '.join(EMOTIONS)}")
    return FaceModel(model_uri, side, classifier)


def fetch_network(model_uri: str, folder: Path) -> Path:
    """Downloads a model into a folder; the `.keras` file of its network."""
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    kept = download_artifacts(artifact_uri=model_uri, dst_path=str(folder))
    return Path(kept) / Model.load(kept).flavors["python_function"]["artifacts"]["network"]["path"]
