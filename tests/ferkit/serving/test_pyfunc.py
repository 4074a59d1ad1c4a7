"""The registered model as its users meet it: what counts as a face, what it answers, and where it runs."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import mlflow.artifacts
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from ferkit.data import EMOTIONS
from ferkit.errors import UserError
from ferkit.serving import pyfunc
from ferkit.serving.load import FaceModel, load_face_model
from ferkit.serving.package import as_base64_png, check_only_keras, requirements
from ferkit.serving.pyfunc import NotAFace, read_face
from ferkit.tracking.store import connect

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

SIDE = 48


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(logged_model: LoggedModel) -> FaceModel:
    connect(logged_model.tracking_uri)
    return load_face_model(f"runs:/{logged_model.run_id}/model")


def as_bytes(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def test_every_form_of_a_grey_face_reads_pixel_for_pixel(faces: np.ndarray) -> None:
    face = faces[0]
    png = as_bytes(Image.fromarray(face))
    for cell in (
        face,
        face[:, :, None],
        face.astype(np.int64),
        face.tolist(),
        png,
        bytearray(png),
        base64.b64encode(png).decode(),
        f"data:image/png;base64,{base64.b64encode(png).decode()}",
        as_base64_png(face),
        as_bytes(Image.fromarray(face).convert("RGB")),
        as_bytes(Image.fromarray(face.astype(np.uint16) * 256 + 128)),
        as_bytes(Image.fromarray(np.dstack([face] * 3 + [np.full_like(face, 255)]))),
    ):
        read = read_face(cell, SIDE)
        assert read.dtype == np.uint8
        assert np.array_equal(read, face), type(cell)


def test_reading_leaves_the_callers_array_alone(faces: np.ndarray) -> None:
    before = faces[1].copy()
    read_face(faces[1], SIDE)[:] = 0
    assert np.array_equal(faces[1], before)


def test_a_larger_picture_is_cut_to_its_middle_square_and_scaled() -> None:
    wide = np.zeros((96, 196), np.uint8)
    wide[:48, 50:146] = 200  # the middle square
    wide[48:, 50:146] = 100
    face = read_face(as_bytes(Image.fromarray(wide)), SIDE)
    assert (face[:20] == 200).all()
    assert (face[28:] == 100).all()


def test_a_photograph_that_lies_on_its_side_is_put_upright() -> None:
    face = np.zeros((SIDE, SIDE), np.uint8)
    face[:10] = 250  # bright at the top
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me a quarter clockwise"
    lying = Image.fromarray(np.rot90(face).copy())
    read = read_face(as_bytes(lying, "JPEG", exif=exif, quality=95), SIDE)
    assert read[:8].mean() > 200
    assert read[20:].mean() < 20


def test_what_is_transparent_is_paper() -> None:
    clear = np.zeros((SIDE, SIDE, 4), np.uint8)
    clear[:9, :, 3] = 255
    face = read_face(as_bytes(Image.fromarray(clear)), SIDE)
    assert (face[:9] == 0).all()
    assert (face[9:] == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_kind_of_picture_is_read(kind: str) -> None:
    face = np.add.outer(np.arange(SIDE), 3 * np.arange(SIDE)).astype(np.uint8)
    read = read_face(as_bytes(Image.fromarray(face), kind), SIDE)
    assert np.abs(read.astype(int) - face).max() <= (0 if kind in ("PNG", "GIF", "BMP") else 16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_values_of_some_bits_in_sixteen_are_scaled_by_the_bits_that_are_used(bits: int, faces: np.ndarray) -> None:
    levels = faces[0].astype(np.uint16)
    levels[0, 0] = 255
    deep = Image.fromarray((levels << (bits - 8)).astype(np.uint16))
    assert np.array_equal(read_face(as_bytes(deep), SIDE), levels)


def test_a_large_picture_of_any_kind_reads_as_the_same_picture_reduced_first() -> None:
    face = np.add.outer(np.arange(SIDE) * 2, np.arange(SIDE) * 3).astype(np.uint8)
    alpha = np.full_like(face, 255)
    large = Image.fromarray(face).resize((1990, 1990), Image.Resampling.BICUBIC)
    clear = Image.fromarray(np.dstack([face] * 3 + [alpha])).resize((1990, 1990), Image.Resampling.BICUBIC)
    deep = Image.fromarray(np.asarray(large).astype(np.uint16) * 256)
    for picture, kind in (
        *((large, kind) for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")),
        (large.convert("RGB"), "PNG"),
        (large.convert("RGB"), "JPEG"),
        (large.convert("P"), "PNG"),
        (large.convert("CMYK"), "JPEG"),
        (clear, "PNG"),
        (deep, "PNG"),
    ):
        read = read_face(as_bytes(picture, kind), SIDE)
        assert np.abs(read.astype(int) - face).mean() < 3, (kind, picture.mode)


def test_memory_for_a_picture_does_not_grow_with_its_pixels() -> None:
    """The largest pictures of each kind that are read, and larger ones, four at once: within 150 MB of a small one."""
    script = """
        import io, os, resource, sys, threading
        from PIL import Image
        from ferkit.serving.pyfunc import NotAFace, read_face

        def draw(mode, side, kind, **options):
            picture = Image.linear_gradient("L").resize((side, side))
            picture = picture.convert(mode)
            file = io.BytesIO()
            picture.save(file, kind, **options)
            return file.getvalue()

        CASES = [
            ("RGBA", 7000, "PNG", {}), ("RGBA", 3990, "PNG", {}), ("RGB", 3990, "PNG", {}), ("L", 7000, "PNG", {}),
            ("P", 7000, "PNG", {}), ("1", 7000, "PNG", {}), ("RGB", 7000, "JPEG", {}),
            ("RGB", 7000, "JPEG", {"progressive": True}),
            ("RGB", 3260, "JPEG", {"progressive": True, "subsampling": 0}),
            ("RGB", 1990, "WEBP", {}), ("RGB", 4000, "WEBP", {}), ("L", 7000, "GIF", {}), ("RGB", 3990, "BMP", {}),
        ]
        read, write = os.pipe()
        if os.fork() == 0:  # draws in a process of its own: what drawing takes is not what reading takes
            import pickle
            with os.fdopen(write, "wb") as file:
                pickle.dump([draw(mode, side, kind, **options) for mode, side, kind, options in CASES], file)
            os._exit(0)
        os.close(write)
        import pickle
        with os.fdopen(read, "rb") as file:
            pictures = pickle.load(file)
        read_face(draw("L", 200, "PNG"), 48)
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        before, answered = peak(), 0

        def look(picture):
            global answered
            try:
                read_face(picture, 48)
                answered += 1
            except NotAFace as refusal:
                assert "too large" in str(refusal), refusal
        for case, picture in zip(CASES, pictures):
            threads = [threading.Thread(target=look, args=(picture,)) for _ in range(4)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            print(case, answered, round(peak() - before), "MB more", file=sys.stderr)
        print(answered, round(peak() - before))
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=250, check=False
    )
    assert process.returncode == 0, process.stderr[-2000:]
    answered, more = map(int, process.stdout.split())
    assert answered >= 4 * 8, process.stderr
    assert more < 150, process.stderr


REFUSED: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "floats 0..1": (lambda face: face / 255, "floats (received float64, 0 to 1)"),
    "floats 0..255": (lambda face: face.astype(np.float32), "floats (received float32"),
    "floats in JSON": (lambda face: (face / 255).tolist(), "not scaled to 0..1"),
    "floats cast to uint8": (lambda face: (face / 255).astype(np.uint8), "all grey levels are 0 or 1"),
    "nothing but NaN": (lambda face: np.full((SIDE, SIDE), np.nan), "floats"),
    "booleans": (lambda face: face > 9, "no integers (received bool)"),
    "another size": (lambda face: face[:40], "wrong shape (received (40, 48))"),
    "colour": (lambda face: np.dstack([face] * 3), "wrong shape (received (48, 48, 3))"),
    "flat": (lambda face: face.ravel(), "wrong shape (received (2304,))"),
    "ragged": (lambda face: [*face.tolist()[:-1], [1, 2]], "rows of different lengths"),
    "too bright": (lambda face: face.astype(int) + 200, "outside 0..255"),
    "negative": (lambda face: face.astype(int) - 200, "outside 0..255"),
    "nothing": (lambda face: None, "neither numbers nor a picture (received NoneType)"),
    "null from JSON": (lambda face: float("nan"), "neither numbers nor a picture (received float)"),
    "words": (lambda face: "a smiling man", "not base64"),
    "empty text": (lambda face: "", "no PNG, JPEG, WEBP, GIF or BMP that can be read (received 0 bytes)"),
    "base64 of something else": (lambda face: base64.b64encode(b"hello").decode(), "no PNG, JPEG"),
    "half a PNG": (lambda face: as_bytes(Image.fromarray(face))[:900], "send a whole file"),
    "half a JPEG": (lambda face: as_bytes(Image.fromarray(face), "JPEG")[:700], "send a whole file"),
    "a TIFF": (lambda face: as_bytes(Image.fromarray(face), "TIFF"), "no PNG, JPEG"),
    "one grey level": (lambda face: np.full_like(face, 99), "blank picture of all but one grey level (received 99 to"),
    "all but black": (lambda face: face // 32, "blank picture"),
    "a clear picture": (lambda face: as_bytes(Image.new("RGBA", (99, 99))), "what is transparent is white"),
    "a white page": (lambda face: as_bytes(Image.new("L", (99, 99), 250), "JPEG"), "blank picture"),
    "a huge picture": (lambda face: as_bytes(Image.new("1", (9000, 9000))), "too large (received 9000 x 9000, PNG)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_face_is_refused_with_a_sentence(name: str, faces: np.ndarray) -> None:
    make, sentence = REFUSED[name]
    with pytest.raises(NotAFace) as refusal:
        read_face(make(faces[0]), SIDE)
    assert sentence in str(refusal.value)
    assert "send" in str(refusal.value)


def test_the_pyfunc_answers_a_table_with_the_networks_probabilities(
    logged_model: LoggedModel, model: FaceModel, faces: np.ndarray
) -> None:
    import keras

    network: Any = keras.saving.load_model(logged_model.keras_path)
    expected = network.predict(faces[..., None], verbose=0)
    loaded = mlflow.pyfunc.load_model(model.uri)
    table = loaded.predict(pd.DataFrame({"face": [faces[0], as_base64_png(faces[1]), *faces[2:].tolist()]}))
    assert list(table.columns) == ["emotion", *EMOTIONS]
    assert np.allclose(table[list(EMOTIONS)], expected, atol=1e-6)
    assert table["emotion"].tolist() == [EMOTIONS[label] for label in expected.argmax(axis=1)]
    assert len(set(table["emotion"])) > 2, "the test's network answers too much the same"


def test_the_pyfunc_names_the_face_that_is_none(model: FaceModel, faces: np.ndarray) -> None:
    loaded = mlflow.pyfunc.load_model(model.uri)
    with pytest.raises(MlflowException, match="face 1: grey levels are floats") as refusal:
        loaded.predict(pd.DataFrame({"face": [faces[0], faces[0] / 255]}))
    assert refusal.value.get_http_status_code() == 400


def test_scores_do_not_depend_on_how_faces_are_batched(
    model: FaceModel, faces: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = np.concatenate([faces] * 70)  # 630: one full batch and a part of one
    together = model.probabilities(many)
    alone = np.concatenate([model.probabilities(face[None]) for face in faces])
    assert together.shape == (630, 7)
    assert together.dtype == np.float32
    assert np.allclose(together, np.concatenate([alone] * 70), atol=1e-6)
    assert np.allclose(together.sum(axis=1), 1, atol=1e-5)
    assert model.probabilities(faces[:0]).shape == (0, 7)


def test_faces_of_another_size_are_refused(model: FaceModel) -> None:
    with pytest.raises(UserError, match="takes uint8 faces of 48 x 48"):
        model.probabilities(np.zeros((2, 32, 32), np.uint8))


def test_a_network_that_returns_no_numbers_is_refused(faces: np.ndarray) -> None:
    class Diverged:
        def probabilities(self, pixels: np.ndarray) -> np.ndarray:
            return np.full((len(pixels), 7), np.nan, np.float32)

    with pytest.raises(UserError, match="63 values that are no numbers"):
        FaceModel("models:/x/1", SIDE, Diverged()).probabilities(faces)


@pytest.mark.parametrize("uri", ["models:/facial-expression/99", "models:/facial-expression@nobody", "runs:/00/model"])
def test_a_model_that_is_not_there_is_refused_with_a_sentence(uri: str, logged_model: LoggedModel) -> None:
    connect(logged_model.tracking_uri)
    with pytest.raises(UserError, match="cannot be loaded"):
        load_face_model(uri)


def test_a_model_that_tells_other_emotions_apart_is_refused(
    logged_model: LoggedModel, tmp_path: Path, faces: np.ndarray
) -> None:
    connect(logged_model.tracking_uri)
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=pyfunc.__file__,
        artifacts={"network": str(logged_model.keras_path)},
        model_config={"side": SIDE, "emotions": ["cat", "dog"]},
        pip_requirements=["numpy"],
    )
    with pytest.raises(UserError, match="tells apart cat, dog"):
        load_face_model(str(tmp_path / "model"))


def test_the_model_runs_where_another_version_of_this_project_is_installed(
    logged_model: LoggedModel, model: FaceModel, tmp_path: Path, faces: np.ndarray
) -> None:
    """A fresh process elsewhere, whose `components` is a package that has nothing of ours in it."""
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").write_text("VERSION = 'another'\n")
    np.save(tmp_path / "faces.npy", faces)
    script = f"""
        import sys
        import components, mlflow, numpy, pandas
        assert components.VERSION == "another"
        mlflow.set_tracking_uri({logged_model.tracking_uri!r})
        model = mlflow.pyfunc.load_model({model.uri!r})
        print(*model.predict(pandas.DataFrame({{"face": list(numpy.load("faces.npy"))}}))["emotion"])
        ours = [name for name in sys.modules if name.startswith(("components.", "pipeline", "kfp"))]
        assert not ours, ours
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    expected = [EMOTIONS[label] for label in model.probabilities(faces).argmax(axis=1)]
    assert process.stdout.split() == expected


def test_the_logged_model_holds_no_pickle_and_no_code_but_its_one_file(
    logged_model: LoggedModel, model: FaceModel
) -> None:
    connect(logged_model.tracking_uri)
    folder = Path(mlflow.artifacts.download_artifacts(model.uri))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"pyfunc.py", "artifacts/network.keras", "requirements.txt", "input_example.json"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib")) or name.startswith("code/")]
    assert (folder / "requirements.txt").read_text().split("\n") == requirements()


def test_the_models_requirements_are_few_and_pinned() -> None:
    named = [requirement.partition("==")[0] for requirement in requirements()]
    assert sorted(named) == ["keras", "mlflow", "numpy", "pandas", "pillow", "tensorflow", "tensorflow-cpu"]
    assert all("==" in requirement for requirement in requirements())


def test_a_network_with_a_layer_of_our_own_is_refused(tmp_path: Path) -> None:
    import keras

    class Twice(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    faces = keras.Input((SIDE, SIDE, 1))
    keras.Model(faces, Twice()(faces)).save(tmp_path / "own.keras")
    with pytest.raises(ValueError, match=r"own\.keras: .*Twice is not Keras' own"):
        check_only_keras(tmp_path / "own.keras")


def test_the_logged_model_says_which_candidate_it_is(logged_model: LoggedModel):
    client = connect(logged_model.tracking_uri)
    run = client.get_run(logged_model.run_id)
    found = client.get_logged_model(run.outputs.model_outputs[0].model_id)
    assert found.tags["candidate"] == run.info.run_name == "lenet-s0"
    assert found.tags["candidate_id"] == "0123456789abcdef"
    assert found.tags["architecture"] == "lenet"
    assert found.params["architecture"] == "lenet"
