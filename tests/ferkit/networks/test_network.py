"""What is exported: raw grey levels to probabilities, from a file that needs Keras alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ferkit.data import Faces
from ferkit.networks.ensemble import average_networks
from ferkit.networks.network import exported, views_of
from ferkit.serving.package import check_only_keras
from ferkit.training.build import build_network, save_network
from ferkit.training.candidate import parse_candidate

SMALL = {"lenet": {"filters": [8, 16], "dense": 16}, "multi_kernel": {"width": 0.1}}


LOAD_AND_PREDICT = """
import keras, numpy, sys
from pathlib import Path

faces = numpy.load("faces.npy")
for path in Path().glob("*.keras"):
    model = keras.saving.load_model(path, compile=False)
    numpy.save(path.with_suffix(".npy"), model.predict_on_batch(faces))
assert not [name for name in sys.modules if name.startswith("components")]
"""


def test_the_saved_file_loads_without_this_project(stripes: Faces, tmp_path: Path):
    models: dict[str, Any] = {}
    for architecture, tta, crop_size in (
        ("lenet", "none", 0),
        ("multi_kernel", "flip", 0),
        ("lenet", "crops", 0),
        ("lenet", "none", 20),
        ("lenet", "crops", 20),
    ):
        changes = {"tta": tta, "crop_size": crop_size, **SMALL[architecture]}
        candidate = parse_candidate({"architecture": architecture, **changes}, {})
        path = tmp_path / f"{architecture}-{tta}-{crop_size}.keras"
        models[path.stem] = save_network(build_network(candidate, stripes.side), candidate, stripes.side, path)
        check_only_keras(path)
    members = [keras.saving.load_model(path) for path in sorted(tmp_path.glob("*.keras"))[:3]]
    models["ensemble"] = average_networks(members, [0.5, 0.3, 0.2])
    models["ensemble"].save(tmp_path / "ensemble.keras")
    check_only_keras(tmp_path / "ensemble.keras")
    np.save(tmp_path / "faces.npy", stripes.pixels[:8, :, :, None])
    subprocess.run([sys.executable, "-c", LOAD_AND_PREDICT], cwd=tmp_path, check=True, capture_output=True)
    for name, model in models.items():
        probabilities = np.load(tmp_path / f"{name}.npy")
        assert (probabilities.shape, probabilities.dtype) == ((8, 7), np.float32), name
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(probabilities, model.predict_on_batch(stripes.pixels[:8, :, :, None]), atol=1e-5)


def test_averaged_with_its_mirror_image_a_face_and_its_mirror_image_are_alike(stripes: Faces):
    candidate = parse_candidate({"architecture": "lenet", **SMALL["lenet"]}, {})
    network = build_network(candidate, stripes.side)
    faces = stripes.pixels[:4, :, :, None]
    for tta, alike in (("none", False), ("flip", True)):
        model: Any = exported(network, tta, stripes.side)  # pyright: ignore[reportArgumentType]
        one, two = model.predict_on_batch(faces), model.predict_on_batch(faces[:, :, ::-1])
        assert np.allclose(one, two, atol=1e-6) == alike


def test_crops_are_the_middle_the_corners_and_their_mirror_images():
    faces: Any = keras.Input((24, 24, 1))
    model: Any = keras.Model(faces, views_of(faces, "crops", 24))
    ramp = np.tile(np.arange(24, dtype=np.float32), (24, 1))[None, :, :, None]
    views = [np.asarray(view)[0, :, :, 0] for view in model.predict_on_batch(ramp)]
    assert len(views) == 10
    # A crop of 20 columns enlarged to 24: pixel i shows column (i + 0.5) * 20 / 24 - 0.5 of the crop.
    assert [round(float(view[12, 12]), 3) for view in views[:5]] == [11.917, 9.917, 13.917, 9.917, 13.917]
    for view, mirrored in zip(views[:5], views[5:], strict=True):
        np.testing.assert_array_equal(view[:, ::-1], mirrored)


@pytest.mark.parametrize("seen", [20, 19])
def test_a_network_of_crops_is_shown_windows_as_they_are(seen: int):
    faces: Any = keras.Input((24, 24, 1))
    face = np.arange(24 * 24, dtype=np.float32).reshape(24, 24)
    places = [(2, 2), (0, 0), (0, 24 - seen), (24 - seen, 0), (24 - seen, 24 - seen)]
    windows = [face[row : row + seen, left : left + seen] for row, left in places]
    wanted = {
        "none": windows[:1],
        "flip": [windows[0], windows[0][:, ::-1]],
        "crops": [*windows, *(window[:, ::-1] for window in windows)],
    }
    tta: Any
    for tta, windows_of in wanted.items():
        model: Any = keras.Model(faces, views_of(faces, tta, seen))
        views: Any = model.predict_on_batch(face[None, :, :, None])
        got = [np.asarray(view)[0, :, :, 0] for view in (views if isinstance(views, list) else [views])]
        np.testing.assert_array_equal(got, windows_of, err_msg=tta)


@pytest.mark.parametrize(("normalization", "low", "high"), [("none", 0.0, 255.0), ("minus_one_to_one", -1.0, 1.0)])
def test_normalization_is_inside_the_network(normalization: str, low: float, high: float):
    network = build_network(parse_candidate({"architecture": "lenet", "normalization": normalization}, {}), 48)
    scaled: Any = keras.Model(network.input, network.layers[-2].output)
    for grey, wanted in ((0, low), (255, high)):
        face = np.full((1, 48, 48, 1), grey, np.uint8)
        np.testing.assert_allclose(np.asarray(scaled.predict_on_batch(face)), wanted, atol=1e-6)


def test_standardised_faces_have_mean_0_and_deviation_1(stripes: Faces):
    network = build_network(
        parse_candidate({"architecture": "lenet", "normalization": "per_image", **SMALL["lenet"]}, {}), 24
    )
    scaled: Any = keras.Model(network.input, network.layers[-2].output)
    faces = np.asarray(scaled.predict_on_batch(stripes.pixels[:, :, :, None]))
    np.testing.assert_allclose(faces.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(faces.std(axis=(1, 2, 3)), 1, atol=1e-3)
