"""The trained model as MLflow carries it: faces in, a table of emotions out.

This ONE file travels inside every logged model ("models from code": no pickle). It imports nothing of this project: a
model that was registered a year ago runs with the code it was registered with, whatever version of `components` the
process that loads it has installed, or none. What else it has to know, `side` and `emotions`, lies in its own config.

Tensor contract: a face is uint8 (side, side), grey levels 0..255, row-major; a batch is uint8 (n, side, side); the
network takes uint8 (n, side, side, 1) and gives float32 (n, classes), each row a probability distribution.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import warnings
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from PIL import Image, ImageOps

BATCH = 512
"""Faces that go through the network at once."""

LARGEST_PICTURE = 50_000_000
"""Pixels of a PNG or JPEG above which it is refused unread: a 50 kB file can unpack to gigabytes."""


class NotAFace(ValueError):
    """A cell that is no face; the message is one sentence that says what to send instead."""


def read_face(cell: Any, side: int) -> np.ndarray:
    """One face as the network takes it: uint8 (side, side).

    Args:
        cell: an array or nested list of INTEGER grey levels 0..255, (side, side) or (side, side, 1); or the bytes of a
            PNG or JPEG of any size; or those bytes in base64 (a `data:` address too).
        side: height and width that the network takes, in pixels.

    Raises:
        NotAFace: it is none of these. Floats are refused rather than guessed at: faces scaled to 0..1, cast to uint8,
            would be black pictures with a confident answer.
    """
    if isinstance(cell, str):
        try:
            cell = base64.b64decode(cell.partition("base64,")[2] or cell, validate=True)
        except (binascii.Error, ValueError):
            raise NotAFace(
                f"not base64 (received {len(cell)} characters, {cell[:24]!r}…); send the base64 of a PNG or JPEG"
            ) from None
    if isinstance(cell, bytes | bytearray | memoryview):
        return _decode_picture(bytes(cell), side)
    return _check_array(cell, side)


def _check_array(cell: Any, side: int) -> np.ndarray:
    wanted = f"send integers 0..255 of shape ({side}, {side}), the bytes of a PNG or JPEG, or their base64"
    try:
        face = np.asarray(cell)
    except ValueError:
        raise NotAFace(f"rows of different lengths; {wanted}") from None
    if face.dtype == object or face.ndim == 0:  # JSON's null arrives as NaN, a float of no dimension
        raise NotAFace(f"neither numbers nor a picture (received {type(cell).__name__}); {wanted}")
    if face.dtype.kind == "f":
        span = (
            f"{np.nanmin(face):.3g} to {np.nanmax(face):.3g}" if face.size and not np.isnan(face).all() else "nothing"
        )
        raise NotAFace(f"grey levels are floats (received {face.dtype}, {span}); {wanted}, not scaled to 0..1")
    if face.dtype.kind not in "iu":
        raise NotAFace(f"grey levels are no integers (received {face.dtype}); {wanted}")
    if face.shape not in ((side, side), (side, side, 1)):
        raise NotAFace(f"wrong shape (received {face.shape}); {wanted}; a PNG or JPEG may have any size")
    low, high = int(face.min()), int(face.max())
    if low < 0 or high > 255:
        raise NotAFace(f"grey levels outside 0..255 (received {low} to {high}); {wanted}")
    if high <= 1:
        raise NotAFace(f"all grey levels are 0 or 1, a black picture; {wanted}, not scaled to 0..1")
    return face.reshape(side, side).astype(np.uint8)


def _decode_picture(data: bytes, side: int) -> np.ndarray:
    """The middle square, grey and upright, `side` pixels high and wide; if it is that already, pixel for pixel."""
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            warnings.simplefilter("ignore")  # of Pillow's own, higher limit
            if picture.width * picture.height > LARGEST_PICTURE:
                size = f"{picture.width} x {picture.height}"
                raise NotAFace(f"a picture too large (received {size}); send one of at most {LARGEST_PICTURE:,} pixels")
            grey = _as_grey(ImageOps.exif_transpose(picture))
    except NotAFace:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # SyntaxError: Pillow's for a broken PNG
        raise NotAFace(f"no PNG or JPEG that can be read (received {len(data)} bytes); send a whole file") from None
    if grey.size != (side, side):
        # The longer side is cut evenly: squashing would change the expression.
        edge = min(grey.size)
        left, top = (grey.width - edge) // 2, (grey.height - edge) // 2
        grey = grey.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(grey, dtype=np.uint8).copy()


def _as_grey(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip to 255 rather than scale
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        paper = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(paper, coloured).convert("L")
    return picture.convert("L")


def read_faces(cells: Any, side: int) -> np.ndarray:
    """Every cell by `read_face`: uint8 (n, side, side).

    Raises:
        NotAFace: the sentence of the first cell that is none, with its position.
    """
    faces = np.empty((len(cells), side, side), np.uint8)
    for position, cell in enumerate(cells):
        try:
            faces[position] = read_face(cell, side)
        except NotAFace as error:
            raise NotAFace(f"face {position}: {error}") from None
    return faces


class FaceClassifier(PythonModel):
    """What `mlflow.pyfunc.load_model(...)` gives: one column `face` in; `emotion` and a probability per emotion out."""

    side: int
    emotions: tuple[str, ...]

    def load_context(self, context: Any) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # Without AVX-512, TensorFlow leaves oneDNN alone unless told: lenet takes 1.5, multi_kernel 3 times as long.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        import keras

        self.side = int(context.model_config["side"])
        self.emotions = tuple(context.model_config["emotions"])
        self._network: Any = keras.saving.load_model(context.artifacts["network"], compile=False)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (n, side, side) -> float32 (n, classes), `BATCH` faces at a time."""
        batches = [self._one_batch(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
        return np.concatenate(batches) if batches else np.empty((0, len(self.emotions)), np.float32)

    def _one_batch(self, pixels: np.ndarray) -> np.ndarray:
        """Filled up to a power of two: every new batch size would be compiled anew."""
        n = len(pixels)
        filled = np.zeros((1 << (n - 1).bit_length(), self.side, self.side, 1), np.uint8)
        filled[:n, :, :, 0] = pixels
        return np.asarray(self._network.predict_on_batch(filled), np.float32)[:n]

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]  (its base says it returns nothing)
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A row per face: `emotion`, the most probable, then one probability column per emotion.

        Raises:
            MlflowException: a cell is no face; a scoring server answers 400 with the sentence.
        """
        if "face" not in model_input:
            received = ", ".join(map(str, model_input.columns))
            raise MlflowException.invalid_parameter_value(
                f"no column 'face' (received {received}); send DataFrame({{'face': [...]}})"
            )
        try:
            pixels = read_faces(model_input["face"].tolist(), self.side)
        except NotAFace as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        probabilities = self.probabilities(pixels)
        table = pd.DataFrame(probabilities, columns=list(self.emotions))
        table.insert(0, "emotion", [self.emotions[label] for label in probabilities.argmax(axis=1)])
        return table


set_model(FaceClassifier())
