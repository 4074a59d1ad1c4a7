"""What trains: the backend, and the processor it finds."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from ferkit.cores import usable_cores
from ferkit.errors import OutOfReach, UserError
from ferkit.training.settings import ResolvedTrain


@dataclass(frozen=True)
class Hardware:
    """What trains, and how.

    Attributes:
        device: `cpu` or `gpu`.
        name: of the processor, for people.
        precision: Keras dtype policy.
        xla: whether steps are compiled by XLA.
        memory: bytes a GPU has for arrays; 0 where that is not known, and on a CPU, which has the host's.
    """

    device: str
    name: str
    precision: str
    xla: bool
    memory: int = 0


def choose(settings: ResolvedTrain) -> Hardware:
    """Loads the backend, makes it deterministic where configured, and returns what it trains on.

    Raises:
        OutOfReach: no GPU where one is required; another node may have one.
        UserError: the backend is not installed; or the process has loaded another.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # On processors without AVX-512, TensorFlow does not use oneDNN by default: lenet takes 2.3 times as long.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ["KERAS_BACKEND"] = settings.backend
    if settings.deterministic and settings.backend == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    if settings.backend == "jax" and importlib.util.find_spec("jax") is None:
        cure = "pip install 'fer-pipeline[jax]', on a GPU 'jax[cuda12]' too"
        raise UserError(f"train.backend: jax is not installed here; {cure}, or set backend=tensorflow")
    import keras

    if keras.backend.backend() != settings.backend:
        raise UserError(
            f"train.backend: this process has already loaded {keras.backend.backend()} (received {settings.backend}); "
            "start a new one"
        )
    find_gpu = _find_gpu_in_jax if settings.backend == "jax" else _find_gpu_in_tensorflow
    gpu, has_bfloat16, memory = find_gpu(settings)
    if settings.require_gpu and not gpu:
        raise OutOfReach(
            f"train.require_gpu: {settings.backend} finds no GPU here; run on a machine that has one with its drivers, "
            "or set require_gpu=false"
        )
    if not gpu:
        has_bfloat16 = settings.backend == "tensorflow" and cpu_has_bfloat16()
    bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and has_bfloat16)
    return Hardware(
        device="gpu" if gpu else "cpu",
        name=gpu or f"CPU, {usable_cores()} cores",
        precision="mixed_bfloat16" if bfloat16 else "float32",
        xla=settings.backend == "jax" or settings.compile == "xla" or (settings.compile == "auto" and bool(gpu)),
        memory=memory,
    )


def cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16: AVX512-BF16, which those with AMX have too. False where none can tell.

    With TensorFlow's oneDNN, both networks train faster so; with JAX there is little in it (see docs/training.md).
    Elsewhere bfloat16 is emulated, and slower than float32.
    """
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:  # not Linux
        return False
    return any(line.startswith("flags") and "avx512_bf16" in line.split() for line in lines)


def _find_gpu_in_tensorflow(settings: ResolvedTrain) -> tuple[str, bool, int]:
    """The first GPU's name, or "", whether it multiplies bfloat16, and its bytes, 0 where they are not known."""
    import tensorflow as tf

    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "", False, 0
    tf.config.set_visible_devices(gpus[0], "GPU")  # one GPU per candidate
    details = tf.config.experimental.get_device_details(gpus[0])
    return (
        str(details.get("device_name", "GPU")),
        details.get("compute_capability", (0, 0))[0] >= 8,
        _memory_of_gpus(),
    )


def _memory_of_gpus() -> int:
    """Bytes of the smallest, as the driver says, for TensorFlow does not; 0 where neither does, or nvidia-ml-py lacks.

    The driver has its own order of GPUs, and knows those that are hidden from this process: the first one here may be
    any of them.
    """
    try:
        import pynvml  # pyright: ignore[reportMissingImports]  (of the extra `gpu`)
    except ImportError:
        return 0
    try:
        pynvml.nvmlInit()
        gpus = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return min(int(pynvml.nvmlDeviceGetMemoryInfo(gpu).total) for gpu in gpus)
    except (pynvml.NVMLError, ValueError):
        return 0


def _find_gpu_in_jax(settings: ResolvedTrain) -> tuple[str, bool, int]:
    """As `_find_gpu_in_tensorflow`."""
    import jax

    gpus = [device for device in jax.devices() if device.platform == "gpu"]
    if not gpus:
        return "", False, 0
    capability = str(getattr(gpus[0], "compute_capability", "0")).partition(".")[0]
    memory = (gpus[0].memory_stats() or {}).get("bytes_limit", 0)
    return str(gpus[0].device_kind), capability.isdigit() and int(capability) >= 8, int(memory)
