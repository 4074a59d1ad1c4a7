"""How faces come to a compiled step: gathered on its device, or sent by the host, batch by batch."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from ferkit.training.hardware import Hardware
from ferkit.training.settings import ResolvedTrain

ops: Any = keras.ops

SHARE_OF_DEVICE = 0.25
"""Of a GPU's memory, what all training faces may take at most; the rest is for the step."""


class FetchFaces(keras.layers.Layer):
    """All training faces, on the device: numbers int32 (n,) to faces float32 (n, side, side)."""

    def __init__(self, faces: np.ndarray) -> None:
        super().__init__(dtype="float32", name="fetch")
        self.faces = self.add_weight(
            shape=faces.shape, dtype="uint8", trainable=False, initializer=lambda *_, **__: faces, name="faces"
        )

    def call(self, numbers: Any) -> Any:
        """See the class."""
        return ops.cast(ops.take(self.faces, numbers, axis=0), "float32")


class OnDevice:
    """All faces lie on the device as uint8; a step is sent the numbers of its own."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._fetch = FetchFaces(pixels)

    def inputs(self) -> tuple[Any, Any]:
        """What a step is sent, and the faces it makes of that: float32 (n, side, side)."""
        numbers = keras.Input((), dtype="int32", name="numbers")
        return numbers, self._fetch(numbers)

    def send(self, numbers: np.ndarray) -> np.ndarray:
        """What a step is sent for the faces of these numbers, int32 (n,)."""
        return numbers

    def batches(
        self, size: int, order: np.ndarray, shares: np.ndarray | None = None, **arrays: np.ndarray
    ) -> dict[str, Any]:
        """Arguments for Keras' `fit`: faces in this order, int32 (n,), with `arrays` in that order beside them.

        Args:
            size: of a batch.
            order: numbers of faces, int32 (n,).
            shares: a second input, (n,), for a model that has one.
            arrays: `y`, and `sample_weight` where there is any.
        """
        return in_batches(size, x=order if shares is None else (order, shares), **arrays)


class OnHost:
    """Faces stay with the host as uint8; a step is sent its own, while the one before is at work."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def inputs(self) -> tuple[Any, Any]:
        """As `OnDevice.inputs`."""
        faces = keras.Input(self._pixels.shape[1:], dtype="uint8", name="faces")
        return faces, ops.cast(faces, "float32")

    def send(self, numbers: np.ndarray) -> np.ndarray:
        """As `OnDevice.send`."""
        return self._pixels[numbers]

    def batches(
        self, size: int, order: np.ndarray, shares: np.ndarray | None = None, **arrays: np.ndarray
    ) -> dict[str, Any]:
        """As `OnDevice.batches`."""
        if keras.backend.backend() != "tensorflow":
            return {"x": _Batches(self._pixels, size, order, shares, *arrays.values())}
        import tensorflow as tf

        def send(numbers: Any, *others: Any) -> Any:
            faces = tf.numpy_function(self.send, [numbers], tf.uint8, stateful=False)
            faces = tf.ensure_shape(faces, (None, *self._pixels.shape[1:]))
            return (faces, *others) if shares is None else ((faces, others[0]), *others[1:])

        beside = [] if shares is None else [shares]
        return {"x": _in_tensorflow(size, order, *beside, *arrays.values()).map(send).prefetch(2)}


DatasetPlacement = OnDevice | OnHost


def place_dataset(pixels: np.ndarray, settings: ResolvedTrain, hardware: Hardware) -> DatasetPlacement:
    """As `dataset_placement` says; `auto`: from the device, unless they would take too much of a GPU's memory.

    Args:
        pixels: uint8 (faces, side, side), all training faces.
        settings: of the candidate.
        hardware: what trains.
    """
    too_many = hardware.memory and pixels.nbytes > SHARE_OF_DEVICE * hardware.memory
    on_host = settings.dataset_placement == "host" or (settings.dataset_placement == "auto" and too_many)
    return OnHost(pixels) if on_host else OnDevice(pixels)


def in_batches(size: int, **arrays: Any) -> dict[str, Any]:
    """The arguments with which Keras' `fit` and `predict` take arrays in batches, in order.

    TensorFlow gets them without tf.data's autotuner, which is on where Keras is passed plain arrays: its thread sleeps
    for 10 ms, 20 ms, 40 ms and so on, and in TensorFlow 2.21 an epoch does not end before the last sleep does. What is
    done after 45 s then takes 82.

    Args:
        size: of a batch; the last one has what is left.
        arrays: `x` (a tuple of arrays, for a model of several inputs), and `y` and `sample_weight` where there are any,
            of the same length.
    """
    if keras.backend.backend() != "tensorflow":
        return {**arrays, "batch_size": size}
    return {"x": _in_tensorflow(size, *arrays.values()).prefetch(2)}


def _in_tensorflow(size: int, *arrays: Any) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size).with_options(options)


class _Batches(keras.utils.PyDataset):
    """Batches of faces and what stands beside them, made when Keras asks for them."""

    def __init__(
        self, pixels: np.ndarray, size: int, order: np.ndarray, shares: np.ndarray | None, *others: np.ndarray
    ) -> None:
        super().__init__()
        self._pixels, self._size, self._order, self._shares, self._others = pixels, size, order, shares, others

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._size)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        batch = slice(number * self._size, (number + 1) * self._size)
        faces = self._pixels[self._order[batch]]
        sent = faces if self._shares is None else (faces, self._shares[batch])
        return sent, *(array[batch] for array in self._others)
