"""A model as ONE file that runs without Python: ONNX, or LiteRT for phones and small boards.

The file's input is `faces`, uint8 (n, side, side, 1), grey levels 0..255; its output is `probabilities`, float32
(n, 7), in the order of `EMOTIONS`. The size n of a batch is free. Nothing else of the pyfunc is in it: pictures are
decoded, cut and checked by whoever calls it (docs/serving.md).
"""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from ferkit.data import EMOTIONS
from ferkit.errors import UserError
from ferkit.serving.load import FaceModel, fetch_network

FACES, PROBABILITIES = "faces", "probabilities"
"""Names of the file's input and output."""

TOLERANCE = 1e-4
"""By how much a probability may differ from the pyfunc's. Measured: 2e-6 to 5e-6 at most, on four networks."""

CHECKED = 64
"""Drawn faces that go through the file and through the model before the file is written."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        file: where it lies.
        format: `onnx` or `litert`.
        model: address of the model it was made from.
        side: height and width of a face in pixels.
        difference: largest difference of a probability from the model's, over `CHECKED` drawn faces.
    """

    file: Path
    format: str
    model: str
    side: int
    difference: float


def check_format(kind: str, target: Path) -> None:
    """Refuses, before any model is loaded, a file that cannot be written.

    Args:
        kind: `onnx` or `litert`.
        target: the file that is to be written.

    Raises:
        UserError: a package that the format needs is not installed, or the file's name is none of that format.
    """
    missing = [name for name in FORMATS[kind].packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"export to {kind} needs {', '.join(missing)}, not installed here; pip install 'fer-pipeline[{kind}]'"
        )
    if target.suffix != FORMATS[kind].suffix:
        raise UserError(f"{target}: a file for {kind} ends in {FORMATS[kind].suffix}; use that ending")


def export_model(model: FaceModel, kind: str, target: Path) -> Exported:
    """Writes a logged or registered model as one file, once its answers are the model's.

    Args:
        model: as `load_face_model` returns it.
        kind: `onnx` or `litert`.
        target: the file; it is replaced as a whole, or left alone where something fails.

    Raises:
        UserError: as `check_format`; or the model cannot be converted, the file cannot be written, or its answers
            differ from the model's by more than `TOLERANCE`.
    """
    check_format(kind, target)
    form = FORMATS[kind]
    try:
        folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-")
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}); use another output file") from error
    with folder as scratch:
        part = Path(scratch) / target.name
        with _quietly():
            try:
                form.convert(_with_named_ends(model.uri, Path(scratch)), part, model)
                difference = _compare(model, part)
            except UserError:
                raise
            except Exception as error:  # whatever a converter or a runtime may raise about a network it does not take
                reason = " ".join(str(error).split())
                raise UserError(
                    f"{model.uri}: cannot be converted to {kind} ({type(error).__name__}: {reason[:400]})"
                ) from error
        try:
            part.replace(target)
        except OSError as error:
            raise UserError(f"{target}: cannot be written ({error.strerror}); use another output file") from error
    return Exported(target, kind, model.uri, model.side, difference)


def load_exported(file: Path, threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """What an exported file answers, by its runtime: uint8 (n, side, side) to float32 (n, 7).

    Args:
        file: as `export_model` wrote it; its name says which runtime.
        threads: that work on one call; 0 for one of each core.
    """
    threads = threads or os.cpu_count() or 1
    kind = next(form for form in FORMATS.values() if form.suffix == file.suffix)
    run = kind.load(file, threads)
    return lambda pixels: run(np.ascontiguousarray(pixels)[..., None])


def _with_named_ends(model_uri: str, scratch: Path) -> Any:
    """The logged network with uint8 `faces` in, `probabilities` out, and no dropout in its graph."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"export runs on TensorFlow (KERAS_BACKEND is {keras.backend.backend()!r}); unset KERAS_BACKEND"
        )
    network: Any = keras.saving.load_model(fetch_network(model_uri, scratch), compile=False)
    ops: Any = keras.ops
    faces = keras.Input(network.input_shape[1:], dtype="uint8", name=FACES)
    # Keras' export to ONNX traces dropout, unless the call says that this is no training.
    answers = network(ops.cast(faces, network.inputs[0].dtype), training=False)
    named: Any = keras.Model(faces, {PROBABILITIES: answers})
    named(np.zeros((1, *network.input_shape[1:]), np.uint8))  # it refuses a network that was never called
    return named


def _compare(model: FaceModel, file: Path) -> float:
    """The largest difference of a probability; see `Exported`.

    Raises:
        UserError: it is above `TOLERANCE`.
    """
    from ferkit.data.sample.draw import draw_faces

    drawn = draw_faces((np.arange(CHECKED) % len(EMOTIONS)).astype(np.uint8), [0])
    size = (model.side, model.side)
    faces = np.stack([np.asarray(Image.fromarray(face).resize(size)) for face in drawn])
    expected, answered = model.probabilities(faces), load_exported(file)(faces)
    difference = float(np.abs(answered - expected).max())
    if not difference <= TOLERANCE:
        raise UserError(
            f"{model.uri}: a probability from the {file.suffix} file differs by {difference:.2g} from the model's, "
            f"more than {TOLERANCE:g}; nothing was written"
        )
    return difference


def _convert_to_onnx(network: Any, file: Path, model: FaceModel) -> None:
    import onnx

    network.export(str(file), format="onnx", verbose=False)
    written = onnx.load(file)
    for end in (*written.graph.input, *written.graph.output):
        end.type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.helper.set_model_props(written, {"emotions": ",".join(EMOTIONS), "model": model.uri})
    onnx.checker.check_model(written)
    onnx.save(written, file)


def _load_onnx(file: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda faces: np.asarray(session.run([PROBABILITIES], {FACES: faces})[0])


def _convert_to_litert(network: Any, file: Path, model: FaceModel) -> None:
    network.export(str(file), format="litert", verbose=False)


def _load_litert(file: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    answer = Interpreter(model_path=str(file), num_threads=threads).get_signature_runner()
    return lambda faces: answer(**{FACES: faces})[PROBABILITIES]


@dataclass(frozen=True)
class Format:
    """One file format: its suffix, the packages it needs beside TensorFlow, how to write it, and how to run it."""

    suffix: str
    packages: tuple[str, ...]
    convert: Callable[[Any, Path, FaceModel], None]
    load: Callable[[Path, int], Callable[[np.ndarray], np.ndarray]]


FORMATS: Final[Mapping[str, Format]] = {
    "onnx": Format(".onnx", ("onnx", "tf2onnx", "onnxruntime"), _convert_to_onnx, _load_onnx),
    "litert": Format(".tflite", ("ai_edge_litert",), _convert_to_litert, _load_litert),
}


@contextmanager
def _quietly() -> Any:
    """Leaves out what converters say of their own code; what a person acts on is raised."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
