"""The pictures of a training: what the curves say of themselves, and maps of a single value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.train.pictures import draw_activations, draw_curves, explain_gap
from ferkit.training.candidate import parse_candidate

CANDIDATE = parse_candidate({"architecture": "lenet", "recipe": "tuned", "dropout": 0.2}, {})
PLAIN: dict[str, Any] = {"random_affine": False, "label_smoothing": 0.0, "dropout": 0.0}


def test_curves_say_why_the_loss_of_training_may_lie_above():
    added = "with dropout 0.2, faces moved at random and label smoothing 0.1; validation"
    assert added in explain_gap(CANDIDATE)
    only_mixup = parse_candidate({"architecture": "lenet", **PLAIN, "mixup": 0.2}, {})
    assert "with mixup; validation" in explain_gap(only_mixup)
    assert "above" not in explain_gap(parse_candidate({"architecture": "lenet", **PLAIN}, {}))


def test_curves_are_drawn_with_the_whole_of_their_longest_caption(tmp_path: Path):
    history = [{f"{split}/{name}": 0.5 for split in ("train", "val") for name in ("loss", "accuracy")}] * 3
    everything = {"crop_size": 40, "random_erasing": 0.5, "mixup": 0.2, "dropout": 0.25}
    draw_curves(history, 2, parse_candidate({"architecture": "lenet", **everything}, {}), tmp_path / "curves.png")
    picture = np.asarray(Image.open(tmp_path / "curves.png").convert("L"))
    caption = picture[int(0.9 * len(picture)) :]
    assert picture.std() > 5
    assert caption.min() < 200
    assert caption[:, -10:].min() == 255  # nothing goes on beyond the right edge


def test_maps_of_one_value_have_the_colours_of_their_values(tmp_path: Path):
    """Drawn each by itself, a map of 1 x 1 has no range, and all of them one colour."""
    import keras

    faces: Any = keras.Input((4, 4, 1))
    scaled: Any = keras.Input((4, 4, 1))
    to_one = keras.layers.Conv2D(3, 4, use_bias=False)
    architecture: Any = keras.Model(scaled, to_one(scaled))
    network: Any = keras.Model(faces, architecture(keras.layers.Rescaling(1 / 255)(faces)))
    to_one.set_weights([np.stack([np.full((4, 4, 1), value / 16) for value in (0.0, 0.5, 1.0)], axis=-1)])
    draw_activations(network, np.full((4, 4), 255, np.uint8), tmp_path / "activations.png")
    seen = np.asarray(Image.open(tmp_path / "activations.png").convert("RGB")).reshape(-1, 3)
    colours, pixels = np.unique(seen, axis=0, return_counts=True)
    areas = {tuple(colour) for colour in colours[pixels > 2000].tolist()}
    least, middle, most = (68, 1, 84), (32, 144, 140), (253, 231, 36)  # viridis at 0, 0.5 and 1
    assert {least, middle, most} <= areas
