"""An exported file answers what the model answers, by the runtimes that its users have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from ferkit.data import EMOTIONS, read_split
from ferkit.data.sample.draw import draw_faces
from ferkit.errors import UserError
from ferkit.serving import export
from ferkit.serving.export import FORMATS, TOLERANCE, export_model, load_exported
from ferkit.serving.load import FaceModel, load_face_model
from ferkit.serving.package import log_face_model
from ferkit.tracking import active_run, names, tree
from ferkit.tracking.store import connect

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

KINDS = sorted(FORMATS)


@pytest.fixture(scope="module")
def lenet(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    """lenet as it is trained and logged: dropout and batch norm inside, averaged over a face and its mirror image.

    Its weights are random, and batch norm's statistics as if it had been trained: the identity would hide a mistake.
    """
    import keras

    from ferkit.training.build import build_network, save_network
    from ferkit.training.candidate import parse_candidate
    from ferkit.training.settings import Train

    folder = tmp_path_factory.mktemp("lenet")
    candidate = parse_candidate({"architecture": "lenet", "tta": "flip"}, Train().model_dump())
    keras.utils.set_random_seed(0)
    network = build_network(candidate, 48)
    rng = np.random.default_rng(0)
    dropout = batch_norm = 0
    for layer in network._flatten_layers():
        dropout += isinstance(layer, keras.layers.Dropout) and layer.rate > 0
        if isinstance(layer, keras.layers.BatchNormalization):
            batch_norm += 1
            size = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.3, size))
            layer.moving_variance.assign(rng.uniform(0.5, 2, size))
    assert dropout
    assert batch_norm
    dense = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    [found] = [layer for layer in dense if layer.units == len(EMOTIONS)]
    last: Any = found
    last.kernel.assign(rng.normal(0, 1, last.kernel.shape))
    faces = draw_faces(np.arange(70, dtype=np.uint8) % 7, [1])[..., None]
    logits = np.asarray(network.predict_on_batch(faces))
    last.bias.assign(-logits.mean(axis=0))  # so that different faces get different labels
    last.kernel.assign(last.kernel / logits.std())
    last.bias.assign(last.bias / logits.std())
    save_network(network, candidate, 48, folder / "lenet.keras")
    client = connect(new_store(folder))
    run_id = client.create_run(tree.experiment_id(client, names.EXPERIMENT)).info.run_id
    with active_run.writing_to(run_id):
        uri = log_face_model(folder / "lenet.keras", side=48, example=np.full((1, 48, 48), 99, np.uint8))
    return load_face_model(uri)


@pytest.fixture
def small(logged_model: LoggedModel) -> FaceModel:
    connect(logged_model.tracking_uri)
    return load_face_model("models:/facial-expression/1")


def name(kind: str) -> str:
    return f"model{FORMATS[kind].suffix}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_returns_the_models_probabilities_on_the_test_split(
    kind: str, lenet: FaceModel, sample_faces: Path, tmp_path: Path
) -> None:
    written = export_model(lenet, kind, tmp_path / name(kind))
    pixels = read_split(sample_faces, "test").pixels
    expected = lenet.probabilities(pixels)
    assert len(np.unique(expected.argmax(axis=1))) > 1  # else that label alone would do
    answer = load_exported(tmp_path / name(kind))
    for faces, wanted in ((pixels, expected), (pixels[:1], expected[:1]), (pixels[3:5], expected[3:5])):
        given = answer(faces)
        assert (given.dtype, given.shape) == (np.float32, wanted.shape)
        np.testing.assert_allclose(given, wanted, atol=TOLERANCE, rtol=0)
        assert (given.argmax(axis=1) == wanted.argmax(axis=1)).all()
    assert written.difference <= TOLERANCE
    assert (written.format, written.model, written.side) == (kind, lenet.uri, 48)
    assert [path.name for path in tmp_path.iterdir()] == [name(kind)]


def test_an_onnx_file_says_what_it_takes_and_returns(small: FaceModel, tmp_path: Path) -> None:
    export_model(small, "onnx", tmp_path / "model.onnx")
    written = onnx.load(tmp_path / "model.onnx")

    def describe(end: Any) -> tuple[str, int, list[Any]]:
        kind = end.type.tensor_type
        return end.name, kind.elem_type, [size.dim_param or size.dim_value for size in kind.shape.dim]

    assert [describe(end) for end in written.graph.input] == [("faces", onnx.TensorProto.UINT8, ["n", 48, 48, 1])]
    assert [describe(end) for end in written.graph.output] == [("probabilities", onnx.TensorProto.FLOAT, ["n", 7])]
    kept = {one.key: one.value for one in written.metadata_props}
    assert kept == {"emotions": ",".join(EMOTIONS), "model": "models:/facial-expression/1"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_whose_answers_differ_is_not_given_out_and_the_earlier_one_stays(
    kind: str, small: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name(kind)).write_text("an earlier file")
    answer = small.probabilities
    monkeypatch.setattr(FaceModel, "probabilities", lambda self, pixels: np.roll(answer(pixels), 1, axis=1))
    with pytest.raises(UserError, match=r"facial-expression/1: a probability .* differs by .* than 0.0001"):
        export_model(small, kind, tmp_path / name(kind))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an earlier file"]


def test_a_converter_that_fails_is_one_sentence(
    small: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Unsupported ops:\n  Counter({'Roll': 1})")

    monkeypatch.setattr("keras.Model.export", fail)
    with pytest.raises(UserError, match=r"cannot be converted to onnx \(RuntimeError: Unsupported ops: Counter"):
        export_model(small, "onnx", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_that_is_not_installed_is_named_with_its_cure(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = FORMATS[kind].packages[-1]
    find = export.importlib.util.find_spec
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None if name == needed else find(name))
    with pytest.raises(UserError, match=rf"export to {kind} needs {needed}, not installed here; pip .*\[{kind}\]"):
        export.check_format(kind, tmp_path / name(kind))


def test_the_files_name_is_that_of_its_format(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.onnx: a file for litert ends in \.tflite"):
        export.check_format("litert", tmp_path / "model.onnx")


def test_a_folder_that_is_not_there_is_refused(small: FaceModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere/model\.onnx: cannot be written \(No such file or directory\)"):
        export_model(small, "onnx", tmp_path / "nowhere" / "model.onnx")
