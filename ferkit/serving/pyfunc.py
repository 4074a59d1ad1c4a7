"""The trained model as MLflow carries it: faces in, a table of emotions out.

This ONE file travels inside every logged model ("models from code": no pickle). It imports nothing of this project: a
model that was registered a year ago runs with the code it was registered with, whatever version of `components` the
process that loads it has installed, or none. What else it has to know, `side` and `emotions`, lies in its own config.

Tensor contract: a face is uint8 (side, side), grey levels 0..255, row-major; a batch is uint8 (n, side, side); the
network takes uint8 (n, side, side, 1) and returns float32 (n, classes), each row a probability distribution.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import io
import os
import threading
import warnings
from contextlib import nullcontext, suppress
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from PIL import Image

BATCH = 512
"""Faces that go through the network at once."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Kinds of pictures that are read, told by their first bytes; of one that moves, the first picture."""

LARGEST_PICTURE = 50_000_000
"""Pixels of a picture above which it is refused unread: a 50 kB file can unpack to gigabytes."""

LARGEST_DECODED = 64_000_000
"""Bytes of memory for a picture while it is decoded: 16 million pixels in colour. A JPEG needs less, a WebP four times
as much, see `_cost`."""

LARGE = 4_000_000
"""Pixels above which a picture is reduced in whole steps before it is resized, and bytes above which pictures are
decoded one after the other, however many requests there are."""

LEAST_CONTRAST = 12
"""Grey levels between the darkest and the brightest hundredth of a face below which there is nothing to see. Of the
32,298 faces of FER2013's development edition 13 are below: 12 of one grey level, and one all but black."""

_ONE_AT_A_TIME = threading.RLock()

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What puts a photograph upright, by the orientation in its EXIF."""


class NotAFace(ValueError):
    """A cell that is no face; the message is one sentence that says what to send instead."""


def read_face(cell: Any, side: int) -> np.ndarray:
    """One face as the network takes it: uint8 (side, side).

    Args:
        cell: an array or nested list of INTEGER grey levels 0..255, (side, side) or (side, side, 1); or the bytes of a
            picture (`FORMATS`) of any size; or those bytes in base64 (a `data:` address too).
        side: height and width that the network takes, in pixels.

    Raises:
        NotAFace: it is none of these, or there is nothing to see in it. Floats are refused rather than guessed at:
            faces scaled to 0..1, cast to uint8, would be black pictures with a confident answer.
    """
    if isinstance(cell, str):
        try:
            cell = base64.b64decode(cell.partition("base64,")[2] or cell, validate=True)
        except (binascii.Error, ValueError):
            raise NotAFace(
                f"not base64 (received {len(cell)} characters, {cell[:24]!r}…); send the base64 of a picture"
            ) from None
    if isinstance(cell, bytes | bytearray | memoryview):
        return read_picture(io.BytesIO(cell), side)
    return _check_array(cell, side)


def _check_array(cell: Any, side: int) -> np.ndarray:
    wanted = f"send integers 0..255 of shape ({side}, {side}), the bytes of a picture, or their base64"
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
        raise NotAFace(f"wrong shape (received {face.shape}); {wanted}; a picture may have any size")
    low, high = int(face.min()), int(face.max())
    if low < 0 or high > 255:
        raise NotAFace(f"grey levels outside 0..255 (received {low} to {high}); {wanted}")
    if high <= 1:
        raise NotAFace(f"all grey levels are 0 or 1, a black picture; {wanted}, not scaled to 0..1")
    return check_contrast(face.reshape(side, side).astype(np.uint8))


def measure_contrast(faces: np.ndarray) -> np.ndarray:
    """Grey levels between the darkest and the brightest hundredth: uint8 (n, side, side) -> float64 (n,)."""
    dark, bright = np.percentile(faces.reshape(len(faces), -1), (1, 99), axis=1)
    return bright - dark


def check_contrast(face: np.ndarray) -> np.ndarray:
    """The face, uint8 (side, side), if there is something to see in it.

    Raises:
        NotAFace: it is blank, or all but blank: a network answers that as confidently face.
    """
    if measure_contrast(face[None])[0] < LEAST_CONTRAST:
        raise NotAFace(
            f"nothing to see, a blank picture of all but one grey level (received {int(face.min())} to "
            f"{int(face.max())}; what is transparent is white); send a picture of a face"
        )
    return face


def read_picture(file: BinaryIO, side: int) -> np.ndarray:
    """The middle square of a picture, grey and upright, uint8 (side, side); if it is that already, pixel for pixel.

    Args:
        file: a picture of a kind in `FORMATS`, seekable. It takes at most `LARGEST_DECODED` bytes of memory and 20 MB.
        side: height and width of the face.

    Raises:
        NotAFace: it is no such picture, is broken, is too large, or there is nothing to see in it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own, higher limit
            takes_memory_to_open = file.read(12)[8:] == b"WEBP"
            with _ONE_AT_A_TIME if takes_memory_to_open else nullcontext():
                with Image.open(file, formats=FORMATS) as picture:
                    _refuse_too_large(picture)
                    cost = _cost(picture)
                    del picture
                grey = _decode(file, side) if cost <= LARGE else _decode_in_turn(file, side)
    except NotAFace:
        raise
    except Exception:  # whatever a broken picture makes of Pillow's decoders: SyntaxError, struct.error, IndexError ...
        size = file.seek(0, os.SEEK_END)
        kinds = ", ".join(FORMATS[:-1]) + f" or {FORMATS[-1]}"
        raise NotAFace(f"no {kinds} that can be read (received {size:,} bytes); send a whole file") from None
    if grey.size != (side, side):
        # The longer side is cut evenly: squashing would change the expression.
        edge = min(grey.size)
        left, top = (grey.width - edge) // 2, (grey.height - edge) // 2
        grey = grey.crop((left, top, left + edge, top + edge)).resize((side, side), Image.Resampling.LANCZOS)
    return check_contrast(np.asarray(grey, dtype=np.uint8).copy())


def _decode_in_turn(file: BinaryIO, side: int) -> Image.Image:
    """One large picture at a time, however many requests there are; what it took is the system's again afterwards.

    glibc would keep it for the thread that had it: as much for every thread of a server as its largest picture took.
    """
    with _ONE_AT_A_TIME:
        try:
            return _decode(file, side)
        finally:
            with suppress(OSError, AttributeError, TypeError):  # another C library has no such function
                ctypes.CDLL(None).malloc_trim(0)


def _decode(file: BinaryIO, side: int) -> Image.Image:
    """Nothing of the picture is left in memory but what this returns, before another one is decoded."""
    file.seek(0)
    with Image.open(file, formats=FORMATS) as picture:
        return _as_grey(picture, side)


def _cost(picture: Image.Image) -> int:
    """Bytes of memory that decoding takes, as measured with Pillow 12; large JPEGs on a coarser grid (`draft`)."""
    pixels = picture.width * picture.height
    if picture.format == "JPEG":
        if pixels <= LARGE:
            return 4 * pixels
        if not (picture.info.get("progressive") or picture.info.get("progression")):
            return pixels // 8
        # It is kept whole as coefficients, of two bytes each: fewer where colours are on a coarser grid than grey.
        grids = [high * wide for _, high, wide, _ in getattr(picture, "layer", [])] or [1, 1, 1]
        return 2 * pixels * sum(grids) // max(grids)
    if picture.format == "WEBP":
        return 16 * pixels
    return pixels * (1 if picture.mode in ("1", "L", "P") else 2 if picture.mode.startswith("I;16") else 4)


def _refuse_too_large(picture: Image.Image) -> None:
    pixels = picture.width * picture.height
    most = LARGEST_PICTURE if pixels == 0 else min(LARGEST_PICTURE, LARGEST_DECODED * pixels // max(1, _cost(picture)))
    if pixels > most:
        size = f"{picture.width} x {picture.height}, {picture.format}"
        raise NotAFace(f"a picture too large (received {size}); send one of this kind of at most {most:,} pixels")


def _as_grey(picture: Image.Image, side: int) -> Image.Image:
    """The picture in grey and upright; a large one reduced to a few times `side`, and converted strip by strip."""
    upright = _find_upright(picture)
    if picture.format == "JPEG" and picture.width * picture.height > LARGE:
        picture.draft("L", (4 * side, 4 * side))
    picture.load()
    shift = 0
    if picture.mode.startswith("I"):
        # More than 8 bits a pixel, which Pillow would clip to 255 rather than scale. Many hold 10, 12 or 14 bits in 16.
        high = int(picture.getextrema()[1])  # pyright: ignore[reportArgumentType, reportIndexIssue]
        shift = next((bits for bits in (8, 10, 12, 14) if high < 1 << bits), 16) - 8
    large = picture.width * picture.height > LARGE
    factor = min(picture.size) // (4 * side) if large else 1
    if factor < 2:
        grey = _convert(picture, shift)
    else:
        grey = Image.new("L", (-(-picture.width // factor), -(-picture.height // factor)))
        rows = factor * max(1, 500_000 // (factor * picture.width))
        for top in range(0, picture.height, rows):
            strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
            grey.paste(_convert(strip, shift).reduce(factor), (0, top // factor))
    return grey.transpose(upright) if upright is not None else grey


def _find_upright(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(picture.getexif().get(0x0112, 1))
    except Exception:  # broken EXIF is no reason to refuse a picture
        return None


def _convert(picture: Image.Image, shift: int) -> Image.Image:
    """In grey, 8 bits a pixel; `shift` takes the lower bits of more away."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).astype(np.uint32) >> shift).clip(0, 255).astype(np.uint8))
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
    """What `mlflow.pyfunc.load_model(...)` returns: one column `face` in; `emotion` and all probabilities out."""

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
        """Filled up to a power of two: every new batch size is compiled once."""
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
