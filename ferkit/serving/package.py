"""Logging a trained network to MLflow as the model its users meet."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType
from PIL import Image

from ferkit.data import EMOTIONS
from ferkit.tracking import names
from ferkit.tracking.doubled import discard_other_models
from ferkit.tracking.names import MODEL_ARTIFACT

CARRIED = (names.ARCHITECTURE, names.CANDIDATE_ID, names.DATA_DIGEST, names.GIT_COMMIT)
"""Tags of a candidate's run that its logged model has too."""

PYFUNC = Path(__file__).with_name("pyfunc.py")

SIGNATURE = ModelSignature(
    # AnyType: a cell is an array, a picture's bytes or base64. A tensor signature could hold only the first, and would
    # cast floats in silence.
    inputs=Schema([ColSpec(AnyType(), "face")]),
    outputs=Schema([ColSpec(DataType.string, "emotion"), *(ColSpec(DataType.float, name) for name in EMOTIONS)]),
)


def log_face_model(keras_path: Path, *, side: int, example: np.ndarray) -> str:
    """Logs a `.keras` file to the ACTIVE run as its model, whose tags say which candidate of which data it is.

    MLflow copies the run's parameters to the logged model by itself.

    Args:
        keras_path: a network that takes raw uint8 (n, side, side, 1) and returns probabilities float32 (n, 7); made of
            Keras' own layers only, because it is loaded where this project is not installed.
        side: height and width of a face in pixels.
        example: uint8 (n, side, side), n >= 1; its first face becomes the model's input example.

    Returns:
        `runs:/<run_id>/model`.

    Raises:
        ValueError: there is no active run, or the network holds a layer of this project's own.
    """
    run = mlflow.active_run()
    if run is None:
        raise ValueError("no active run; call log_face_model inside `with writing_to(run_id)`")
    check_only_keras(keras_path)
    run = mlflow.get_run(run.info.run_id)
    logged = mlflow.pyfunc.log_model(
        name=MODEL_ARTIFACT,
        python_model=str(PYFUNC),
        artifacts={"network": str(keras_path)},
        model_config={"side": int(side), "emotions": list(EMOTIONS)},
        signature=SIGNATURE,
        input_example=pd.DataFrame({"face": [as_base64_png(example[0])]}),
        pip_requirements=requirements(),
        tags=_tags_of(run),
    )
    discard_other_models(mlflow.MlflowClient(), run, logged.model_id)
    return f"runs:/{run.info.run_id}/{MODEL_ARTIFACT}"


def _tags_of(run: Run) -> dict[str, str]:
    """What tells one logged model from another in MLflow's list of models, where all are called `model`."""
    known = {name: run.data.tags[name] for name in CARRIED if name in run.data.tags}
    return {names.CANDIDATE: str(run.info.run_name), **known}


def requirements() -> list[str]:
    """What a process needs to load and run the model, pinned to what is installed here; it is little.

    TensorFlow is pinned even where another backend trained the network: a `.keras` file runs on any of them.
    """
    pinned = [f"{name}=={version(name)}" for name in ("keras", "mlflow", "numpy", "pandas", "pillow")]
    for name in ("tensorflow-cpu", "tensorflow"):
        try:
            release = version(name)
        except PackageNotFoundError:
            continue
        # tensorflow-cpu has no wheels for macOS on Apple silicon or for Linux on Arm.
        x86 = 'platform_machine == "x86_64" or platform_machine == "AMD64"'
        arm = 'platform_machine != "x86_64" and platform_machine != "AMD64"'
        return [*pinned, f"tensorflow-cpu=={release}; {x86}", f"tensorflow=={release}; {arm}"]
    return pinned


def check_only_keras(keras_path: Path) -> None:
    """Refuses a `.keras` file that needs Python code beside Keras itself to load.

    Raises:
        ValueError: naming the first class that is not Keras'.
    """
    with zipfile.ZipFile(keras_path) as archive:
        pending = [json.loads(archive.read("config.json"))]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            module = node.get("module")
            if isinstance(module, str) and "class_name" in node and module.split(".")[0] not in ("keras", "builtins"):
                raise ValueError(
                    f"{keras_path.name}: {module}.{node['class_name']} is not Keras' own; export without it"
                )
            if node.get("registered_name") and "class_name" in node and module is None:
                raise ValueError(f"{keras_path.name}: {node['registered_name']} is not Keras' own; export without it")
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def as_base64_png(face: np.ndarray) -> str:
    """A face, uint8 (side, side), as the base64 of a grey PNG: what the model takes over HTTP."""
    png = io.BytesIO()
    Image.fromarray(face).save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()
