"""How faces come to a compiled step: it fetches them from its device, or is sent them by the host, batch by batch."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from components.train.hardware import Hardware
from components.train.parameters import Complete

ops: Any = keras.ops

SHARE_OF_DEVICE = 0.25
"""Of a GPU's memory, what all training faces may take at most; the rest is for the step."""


class Fetch(keras.layers.Layer):
    """All training faces, on the device: numbers int32 (n,) to faces float32 (n, side, side)."""

    def __init__(self, faces: np.ndarray) -> None:
        super().__init__(dtype="float32", name="fetch")
        self.faces = self.add_weight(
            shape=faces.shape, dtype="uint8", trainable=False, initializer=lambda *_, **__: faces, name="faces"
        )

    def call(self, numbers: Any) -> Any:
        """See the class."""
        return ops.cast(ops.take(self.faces, numbers, axis=0), "float32")


class FromDevice:
    """All faces lie on the device as uint8; a step is sent the numbers of its own."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._fetch = Fetch(pixels)

    def inputs(self) -> tuple[Any, Any]:
        """What a step is sent, and the faces it makes of that: float32 (n, side, side)."""
        numbers = keras.Input((), dtype="int32", name="numbers")
        return numbers, self._fetch(numbers)

    def batches(self, size: int, order: np.ndarray, **arrays: np.ndarray) -> dict[str, Any]:
        """Arguments for Keras' `fit`: faces in the given order, int32 (n,), with `arrays` in that order beside them."""
        return in_batches(size, x=order, **arrays)


class FromHost:
    """Faces stay with the host as uint8; a step is sent its own, while the one before is at work."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def inputs(self) -> tuple[Any, Any]:
        """As `FromDevice.inputs`."""
        faces = keras.Input(self._pixels.shape[1:], dtype="uint8", name="faces")
        return faces, ops.cast(faces, "float32")

    def batches(self, size: int, order: np.ndarray, **arrays: np.ndarray) -> dict[str, Any]:
        """As `FromDevice.batches`."""
        if keras.backend.backend() != "tensorflow":
            return {"x": _Batches(self._pixels, size, order, *arrays.values())}
        import tensorflow as tf

        def send(numbers: Any, *others: Any) -> Any:
            faces = tf.numpy_function(lambda wanted: self._pixels[wanted], [numbers], tf.uint8, stateful=False)
            return tf.ensure_shape(faces, (None, *self._pixels.shape[1:])), *others

        return {"x": _in_tensorflow(size, order, *arrays.values()).map(send).prefetch(2)}


Feed = FromDevice | FromHost


def choose_feed(pixels: np.ndarray, settings: Complete, hardware: Hardware) -> Feed:
    """As `faces_on` says; `auto`: from the device, unless that is a GPU and they would take too much of its memory.

    Args:
        pixels: uint8 (faces, side, side), all training faces.
        settings: of the candidate.
        hardware: what trains.
    """
    too_many = hardware.memory and pixels.nbytes > SHARE_OF_DEVICE * hardware.memory
    on_host = settings.faces_on == "host" or (settings.faces_on == "auto" and too_many)
    return FromHost(pixels) if on_host else FromDevice(pixels)


def in_batches(size: int, **arrays: np.ndarray) -> dict[str, Any]:
    """The arguments with which Keras' `fit` and `predict` take arrays in batches, in order.

    TensorFlow gets them without tf.data's autotuner, which is on where Keras is given plain arrays: its thread sleeps
    for 10 ms, 20 ms, 40 ms and so on, and in TensorFlow 2.21 an epoch does not end before the last sleep does. What is
    done after 45 s then takes 82.

    Args:
        size: of a batch; the last one has what is left.
        arrays: `x`, and `y` and `sample_weight` where there are any, of the same length.
    """
    if keras.backend.backend() != "tensorflow":
        return {**arrays, "batch_size": size}
    return {"x": _in_tensorflow(size, *arrays.values()).prefetch(2)}


def _in_tensorflow(size: int, *arrays: np.ndarray) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size).with_options(options)


class _Batches(keras.utils.PyDataset):
    """Batches of faces and what stands beside them, made when Keras asks for them."""

    def __init__(self, pixels: np.ndarray, size: int, order: np.ndarray, *others: np.ndarray) -> None:
        super().__init__()
        self._pixels, self._size, self._order, self._others = pixels, size, order, others

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, ...]:
        batch = slice(number * self._size, (number + 1) * self._size)
        return self._pixels[self._order[batch]], *(array[batch] for array in self._others)
