"""Data that many tests use, made once per session."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from evaluated import Evaluated

    from ferkit.data import Faces

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Puts an empty MLflow store into a folder, and gives its address: a copy, for making one takes seconds."""
    from ferkit.tracking.store import SQLITE, prepare_store

    empty = tmp_path_factory.mktemp("empty-store") / "mlflow.db"
    prepare_store(f"{SQLITE}{empty}")
    return lambda folder: f"{SQLITE}{shutil.copy(empty, folder / 'mlflow.db')}"


@pytest.fixture
def kill_between_renames() -> Callable[..., None]:
    """Runs Python code with arguments in a process that SIGKILL ends right after its first `Path.replace`."""
    prelude = (
        "import os, signal, sys; from pathlib import Path\n"
        "rename = Path.replace\n"
        "def once(self, to): rename(self, to); os.kill(os.getpid(), signal.SIGKILL)\n"
        "Path.replace = once\n"
    )

    def run(code: str, *arguments: str) -> None:
        killed = subprocess.run([sys.executable, "-c", prelude + code, *arguments], check=False)
        assert killed.returncode == -signal.SIGKILL

    return run


@pytest.fixture(scope="session")
def sample_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn CSV of 700 faces, faults included."""
    from ferkit.data.sample import draw_csv

    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    draw_csv(path, faces=700, seed=0)
    return path


@pytest.fixture(scope="session")
def sample_faces(sample_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set folder that ingest makes of `sample_csv`."""
    from components.ingest.ingest import ingest_csv
    from components.ingest.parameters import Ingest

    folder = tmp_path_factory.mktemp("faces") / "faces"
    ingest_csv(str(sample_csv), folder, Ingest())
    return folder


@pytest.fixture(scope="session")
def real_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The development edition of FER2013, uncompressed; skips where it is absent (it is not in the repository)."""
    packed = Path(os.environ.get("FER2013_DEV_CSV", ROOT.parent / "shared" / "fer2013" / "fer2013-dev.csv.gz"))
    if not packed.exists():
        pytest.skip("FER2013 is not here: set FER2013_DEV_CSV to a copy of its CSV")
    if packed.suffix != ".gz":
        return packed
    path = tmp_path_factory.mktemp("fer2013") / "fer2013-dev.csv"
    with gzip.open(packed) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return path


@dataclass(frozen=True)
class LoggedModel:
    """A network in MLflow, as `train` leaves one: logged to a candidate's run that is still open.

    Attributes:
        tracking_uri: of a SQLite store of its own, where version 1 of the registered model, champion, is this network.
        run_id: the candidate's run.
        keras_path: the network itself. Nobody trained it, but its answers depend on the face, and it makes them fast.
    """

    tracking_uri: str
    run_id: str
    keras_path: Path


@pytest.fixture(scope="session")
def logged_model(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> LoggedModel:
    """A small network over 48 x 48 faces, logged and registered."""
    import keras
    import mlflow
    import numpy as np

    from ferkit.serving.package import log_face_model
    from ferkit.tracking import active_run, names, tree
    from ferkit.tracking.candidates import NewCandidate, open_candidates, set_state
    from ferkit.tracking.store import connect

    folder = tmp_path_factory.mktemp("logged-model")
    faces = keras.Input((48, 48, 1), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(faces)
    areas = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(scaled))  # (n, 36)
    start: Any = keras.initializers.RandomNormal(stddev=1.0, seed=4)
    keras.Model(faces, keras.layers.Dense(7, "softmax", kernel_initializer=start)(areas)).save(folder / "network.keras")

    tracking_uri = new_store(folder)
    client = connect(tracking_uri)
    experiment_id = tree.experiment_id(client, names.EXPERIMENT)
    parent = client.create_run(experiment_id, tags={names.RUN_KIND: "pipeline"})
    candidate = NewCandidate(
        "0123456789abcdef", "lenet-s0", "lenet", {"architecture": "lenet"}, {names.GIT_COMMIT: "0" * 40}
    )
    [run_id] = open_candidates(client, parent, [candidate])
    with active_run.writing_to(run_id):
        uri = log_face_model(
            folder / "network.keras", side=48, example=np.add.outer(np.arange(48), np.arange(48)).astype(np.uint8)[None]
        )
    set_state(client, run_id, names.State.TRAINED)
    mlflow.register_model(uri, names.REGISTERED_MODEL)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, "1")
    return LoggedModel(tracking_uri, run_id, folder / "network.keras")


@pytest.fixture(scope="module")
def evaluated(
    new_store: Callable[[Path], str], sample_faces: Path, tmp_path_factory: pytest.TempPathFactory
) -> Evaluated:
    """A pipeline run whose three candidates were evaluated, in a store of its own."""
    from evaluated import evaluate_three

    folder = tmp_path_factory.mktemp("evaluated")
    return evaluate_three(new_store(folder), sample_faces, folder)


@pytest.fixture(scope="session")
def stripes() -> Faces:
    """140 faces of 24x24 pixels, an emotion each its own angle of stripes: told apart in a few epochs."""
    import numpy as np

    from ferkit.data import Faces

    rng = np.random.default_rng(0)
    emotion = np.repeat(np.arange(7, dtype=np.uint8), 20)
    row, column = np.mgrid[:24, :24]
    angle = (emotion * np.pi / 7)[:, None, None]
    phase = rng.uniform(0, 2 * np.pi, len(emotion))[:, None, None]
    waves = np.sin((row * np.cos(angle) + column * np.sin(angle)) * 1.2 + phase)
    pixels = (128 + 90 * waves + rng.normal(0, 10, waves.shape)).clip(0, 255).astype(np.uint8)
    mixed = rng.permutation(len(emotion))
    return Faces(
        row=np.arange(len(emotion), dtype=np.int32),
        emotion=emotion[mixed],
        pixels=pixels[mixed],
        technique=np.array(["original"] * len(emotion), object),
        in_train=np.zeros(len(emotion), bool),
    )


@pytest.fixture(scope="session")
def stripes_folder(stripes: Faces, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set folder of `stripes`: 100 of train, 20 of validation, 20 of test."""
    import numpy as np

    from ferkit.data import Profile, SplitWriter, split_path, write_profile

    folder = tmp_path_factory.mktemp("stripes")
    records = {}
    for split, rows in (("train", range(100)), ("validation", range(100, 120)), ("test", range(120, 140))):
        with SplitWriter(split_path(folder, split), stripes.side) as writer:
            writer.write(stripes.take(np.array(rows)))
        records[split] = writer.record()
    write_profile(folder, Profile({"sha256": "0" * 64, "csv": "stripes"}, stripes.side, records))
    return folder


@pytest.fixture
def no_gpu() -> None:
    """Skips where there is a GPU."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU here")


@pytest.fixture(params=["tensorflow", pytest.param("jax", marks=pytest.mark.slow)])
def passes(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Runs a script of this folder, that must end by printing its backend and a word, under each backend."""

    def run(script: str, word: str) -> None:
        done = subprocess.run(
            [sys.executable, str(request.path.with_name(script))],
            env=os.environ | {"KERAS_BACKEND": request.param},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.split()[-2:] == [request.param, word]

    return run
