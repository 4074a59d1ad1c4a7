"""The champion behind `mlflow models serve`, asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
from PIL import Image

from ferkit.data import EMOTIONS, read_split
from ferkit.serving.package import as_base64_png
from tests.ferkit.serving.serving import serving

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def address(logged_model: LoggedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the champion is served."""
    with serving(logged_model, tmp_path_factory.mktemp("serving") / "server.log") as served:
        yield served.address


def ask(address: str, cells: list[Any]) -> requests.Response:
    return requests.post(
        address, json={"dataframe_split": {"columns": ["face"], "data": [[c] for c in cells]}}, timeout=60
    )


@pytest.fixture(scope="module")
def faces(sample_faces: Path) -> np.ndarray:
    return read_split(sample_faces, "test").pixels[:12]


@pytest.fixture(scope="module")
def in_process(logged_model: LoggedModel, faces: np.ndarray) -> np.ndarray:
    """Probabilities as a notebook gets them: the network itself, its `predict`, an array with a channel."""
    import keras

    network: Any = keras.saving.load_model(logged_model.keras_path)
    return network.predict(faces[..., None], verbose=0)


def test_pngs_of_the_sample_get_the_label_that_the_network_returns_in_process(
    address: str, faces: np.ndarray, in_process: np.ndarray
) -> None:
    response = ask(address, [as_base64_png(face) for face in faces])
    assert response.status_code == 200, response.text
    rows = response.json()["predictions"]
    assert [row["emotion"] for row in rows] == [EMOTIONS[label] for label in in_process.argmax(axis=1)]
    assert np.allclose([[row[emotion] for emotion in EMOTIONS] for row in rows], in_process, atol=1e-5)
    assert len({row["emotion"] for row in rows}) > 2, "the test's network answers too much the same"


def test_arrays_and_pictures_can_be_mixed_in_one_request(
    address: str, faces: np.ndarray, in_process: np.ndarray
) -> None:
    response = ask(address, [faces[0].tolist(), as_base64_png(faces[1]), faces[2][..., None].tolist()])
    assert response.status_code == 200, response.text
    labels = [EMOTIONS.index(row["emotion"]) for row in response.json()["predictions"]]
    assert labels == in_process[:3].argmax(axis=1).tolist()


# What MLflow's scoring server makes of a request before the model sees it; the table in docs/serving.md is this one.
# P: a picture in base64; A: an array of grey levels.
FORMS = {
    "split, mixed": (lambda P, A: {"dataframe_split": {"columns": ["face"], "data": [[P], [A]]}}, 2),
    "records, mixed": (lambda P, A: {"dataframe_records": [{"face": P}, {"face": A}]}, 2),
    "inputs, list of faces, mixed": (lambda P, A: {"inputs": [{"face": P}, {"face": A}]}, 2),
    "inputs, list of arrays": (lambda P, A: {"inputs": [A, A]}, 2),
    "inputs, list of pictures": (lambda P, A: {"inputs": [P, P]}, 0),
    "inputs, a column of arrays": (lambda P, A: {"inputs": {"face": [A, A]}}, 2),
    "inputs, a column of pictures": (lambda P, A: {"inputs": {"face": [P, P]}}, 0),
    "inputs, one picture as the column": (lambda P, A: {"inputs": {"face": P}}, 1),
    "inputs, one array as the column": (lambda P, A: {"inputs": {"face": A}}, 0),
    "instances, pictures": (lambda P, A: {"instances": [{"face": P}, {"face": P}]}, 2),
    "instances, arrays": (lambda P, A: {"instances": [{"face": A}, {"face": A}]}, 2),
    "instances, mixed": (lambda P, A: {"instances": [{"face": P}, {"face": A}]}, 0),
    "instances, list of arrays": (lambda P, A: {"instances": [A, A]}, 2),
    "instances, list of pictures": (lambda P, A: {"instances": [P, P]}, 0),
    "a bare list": (lambda P, A: [{"face": P}], 0),
    "two forms at once": (lambda P, A: {"inputs": [{"face": P}], "instances": [{"face": P}]}, 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_json_form_answers_every_face_or_400(address: str, faces: np.ndarray, form: str) -> None:
    make, answered = FORMS[form]
    answer = requests.post(address, json=make(as_base64_png(faces[0]), faces[0].tolist()), timeout=60)
    assert answer.status_code == (200 if answered else 400), answer.text
    if answered:
        rows = answer.json()["predictions"]
        expected = ask(address, [faces[0].tolist()]).json()["predictions"] * answered
        assert [row["emotion"] for row in rows] == [row["emotion"] for row in expected]
        got, wanted = ([[row[emotion] for emotion in EMOTIONS] for row in found] for found in (rows, expected))
        assert np.allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda face: (face / 255).tolist(), "grey levels are floats"),
        (lambda face: face[:40].tolist(), "wrong shape (received (40, 48))"),
        (lambda face: face.ravel().tolist(), "wrong shape (received (2304,))"),
        (lambda face: (face.astype(int) + 256).tolist(), "outside 0..255"),
        (lambda face: "not a picture", "not base64"),
        (lambda face: None, "neither numbers nor a picture"),
    ],
    ids=["floats", "shape", "flat", "range", "text", "null"],
)
def test_what_is_no_face_gets_400_and_the_sentence(make: Any, sentence: str, address: str, faces: np.ndarray) -> None:
    response = ask(address, [as_base64_png(faces[1]), make(faces[0])])
    assert response.status_code == 400, response.text
    assert sentence in response.json()["message"]
    assert "face 1: " in response.json()["message"]


def test_a_table_without_the_column_gets_400(address: str, faces: np.ndarray) -> None:
    body = {"dataframe_split": {"columns": ["image"], "data": [[as_base64_png(faces[0])]]}}
    assert requests.post(address, json=body, timeout=60).status_code == 400


def test_a_picture_larger_than_a_face_is_answered(address: str, faces: np.ndarray, in_process: np.ndarray) -> None:
    doubled = np.asarray(Image.fromarray(faces[3]).resize((480, 480), Image.Resampling.NEAREST))
    response = ask(address, [as_base64_png(doubled)])
    assert response.status_code == 200, response.text
    answer = response.json()["predictions"][0]
    assert np.allclose([answer[emotion] for emotion in EMOTIONS], in_process[3], atol=0.1)
