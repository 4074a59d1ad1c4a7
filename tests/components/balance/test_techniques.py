"""Each augmentation on small arrays whose result can be written down, and against SciPy's on faces."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from components.balance.draws import below, draw, key_of
from components.balance.parameters import Balance
from components.balance.techniques import (
    TECHNIQUES,
    bell,
    blur,
    blur_at_random,
    flip,
    inscribed_circle,
    mask,
    rotate,
    rotate_at_random,
    salt,
    salt_at_random,
)
from ferkit.data.sample.draw import draw_faces

KEYS = key_of(0, np.arange(200))


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return draw_faces(np.arange(21, dtype=np.uint8) % 7, [0])


def test_mask_blackens_what_lies_outside_the_inscribed_circle() -> None:
    face = np.full((1, 6, 6), 9, np.uint8)
    # (x - 3)**2 + (y - 3)**2 <= 9 with x, y = 0..5
    assert mask(face)[0].tolist() == [
        [0, 0, 0, 9, 0, 0],
        [0, 9, 9, 9, 9, 9],
        [0, 9, 9, 9, 9, 9],
        [9, 9, 9, 9, 9, 9],
        [0, 9, 9, 9, 9, 9],
        [0, 9, 9, 9, 9, 9],
    ]


def test_mask_is_the_lecture_notes_formula_at_48() -> None:
    x, y = np.ogrid[:48, :48]
    outside = (x - 24) ** 2 + (y - 24) ** 2 > 48 * 48 / 4
    np.testing.assert_array_equal(inscribed_circle(48) == 0, outside)


def test_flip_mirrors_left_and_right() -> None:
    assert flip(np.array([[[1, 2, 3], [4, 5, 6], [7, 8, 9]]], np.uint8))[0].tolist() == [
        [3, 2, 1],
        [6, 5, 4],
        [9, 8, 7],
    ]


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, [[1, 2], [3, 4]]),
        (90, [[2, 4], [1, 3]]),
        (180, [[4, 3], [2, 1]]),
        (-90, [[3, 1], [4, 2]]),
    ],
)
def test_rotation_by_quarter_turns_moves_pixels_exactly(degrees: int, expected: list) -> None:
    assert rotate(np.array([[[1, 2], [3, 4]]], np.uint8), np.array([degrees]))[0].tolist() == expected


def test_rotation_turns_each_face_by_its_own_angle(faces: np.ndarray) -> None:
    degrees = np.array([-90, 0, 90, 180, 90] * 4 + [0])
    expected = np.array([np.rot90(face, angle // 90) for face, angle in zip(faces, degrees, strict=True)])
    np.testing.assert_array_equal(rotate(faces, degrees), expected)


def test_rotation_by_45_degrees_holds_the_whole_face_between_black_corners() -> None:
    """A white face of 4x4 turned by 45 degrees, in a frame of 4 * sqrt(2) scaled back to 4.

    Pixel centres lie at ±1.5 and ±0.5, times sqrt(2). Turned by 45 degrees, the upper left one comes from 3 pixels left
    of the middle: outside. Its neighbour comes from (-2, -1): half-way between the border's black and the face.
    """
    turned = rotate(np.full((1, 4, 4), 200, np.uint8), np.array([45]))[0]
    assert turned.tolist() == [[0, 100, 100, 0], [100, 200, 200, 100], [100, 200, 200, 100], [0, 100, 100, 0]]


def test_rotation_agrees_with_scipy_on_a_smooth_picture() -> None:
    y, x = np.mgrid[:48, :48]
    smooth = (128 + 80 * np.sin(x / 9) * np.cos(y / 7)).astype(np.uint8)
    angle = np.radians(30)
    grown = np.cos(angle) + np.sin(angle)  # the frame that holds it all, scaled back
    turn = grown * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    offset = 23.5 - turn @ [23.5, 23.5]
    reference = ndimage.affine_transform(smooth.astype(float), turn, offset, order=1)
    ours = rotate(smooth[None], np.array([30]))[0]
    assert np.abs(ours - reference)[12:-12, 12:-12].max() < 1


def test_blur_of_a_single_pixel_is_the_bell_itself() -> None:
    weights = bell(1.0)
    assert weights == (102, 62, 14, 1)
    face = np.zeros((1, 9, 9), np.uint8)
    face[0, 4, 4] = 255
    line = [(255 * weight + 128) >> 8 for weight in weights]
    line = np.array(line[:0:-1] + line)
    expected = np.zeros((9, 9), int)
    expected[1:8, 1:8] = (line[:, None] * np.array([*weights[:0:-1], *weights]) + 128) >> 8
    assert blur(face, np.array([1.0]))[0].tolist() == expected.tolist()


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 1.7, 3.0])
def test_blur_agrees_with_scipy(faces: np.ndarray, sigma: float) -> None:
    reference = np.array([ndimage.gaussian_filter(face.astype(float), sigma, truncate=3) for face in faces])
    assert np.abs(blur(faces, np.full(len(faces), sigma)) - reference).max() < 2.5
    assert sum(bell(sigma)) + sum(bell(sigma)[1:]) == 256


def test_blur_leaves_an_even_face_even_up_to_its_edge() -> None:
    even = np.full((1, 5, 5), 255, np.uint8)
    assert (blur(even, np.array([3.0])) == 255).all()


def test_blur_uses_the_sigma_it_is_given(faces: np.ndarray) -> None:
    """The notebooks' sigma was always 1."""
    mixed = blur(faces[:2], np.array([0.5, 2.0]))
    np.testing.assert_array_equal(mixed[0], blur(faces[:1], np.array([0.5]))[0])
    np.testing.assert_array_equal(mixed[1], blur(faces[1:2], np.array([2.0]))[0])
    roughness = [np.abs(np.diff(blur(faces[:1], np.array([sigma]))[0].astype(int))).sum() for sigma in (0.5, 1.0, 2.0)]
    assert roughness[0] > roughness[1] > roughness[2]


def test_salt_turns_the_pixels_white_whose_lot_is_below_the_fraction() -> None:
    # 16 bits for each pixel, lowest first: below a quarter of 65536 for the second and the third.
    lots = (0x4000, 0x3FFF, 0x0000, 0xFFFF)
    numbers = np.array([[sum(lot << (16 * place) for place, lot in enumerate(lots))]], np.uint64)
    assert salt(np.array([[[10, 20], [30, 40]]], np.uint8), 0.25, numbers)[0].tolist() == [[10, 255], [255, 40]]


def test_salt_never_wraps_round(faces: np.ndarray) -> None:
    """The notebooks' noise made bright pixels black."""
    salted = salt_at_random(faces, KEYS[: len(faces)], 0.05)
    changed = salted != faces
    assert (salted[changed] == 255).all()
    assert 0.04 < (salted == 255).mean() - (faces == 255).mean() < 0.06


def test_random_angles_cover_both_sides_and_leave_no_face_as_it_is() -> None:
    face = np.tile(np.arange(48, dtype=np.uint8), (48, 1))
    turned = rotate_at_random(np.repeat(face[None], 200, axis=0), KEYS, 2)
    expected = {rotate(face[None], np.array([angle])).tobytes() for angle in (-2, -1, 1, 2)}
    assert {one.tobytes() for one in turned} == expected
    assert face.tobytes() not in expected


def test_random_sigmas_cover_their_range(faces: np.ndarray) -> None:
    blurred = blur_at_random(np.repeat(faces[:1], 200, axis=0), KEYS, 0.5, 1.5)
    kinds = {one.tobytes() for one in blurred}
    assert len(kinds) == 11
    assert blur(faces[:1], np.array([0.5])).tobytes() in kinds
    assert blur(faces[:1], np.array([1.5])).tobytes() in kinds


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_leaves_the_face_it_is_given_and_varies_if_it_says_so(name: str, faces: np.ndarray) -> None:
    technique, before = TECHNIQUES[name], faces.copy()
    first, second = (technique.make(faces, keys, Balance()) for keys in (KEYS[:21], KEYS[21:42]))
    np.testing.assert_array_equal(faces, before)
    assert np.array_equal(first, second) is not technique.varies


@pytest.mark.parametrize("side", [1, 5, 48, 64])
@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_technique_takes_any_side(name: str, side: int) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (3, side, side), dtype=np.uint8)
    made = TECHNIQUES[name].make(faces, KEYS[:3], Balance(blur=(0.3, 3.0)))
    assert made.shape == faces.shape
    assert made.dtype == np.uint8


def test_draws_are_splitmix64() -> None:
    """Against the reference stream for the state 1234567, as the algorithm's C code by Vigna produces it."""
    stream = draw(np.array([1234567], np.uint64), 5)[0].tolist()
    assert stream == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_keys_of_different_names_differ_and_do_not_depend_on_their_neighbours() -> None:
    first, second = np.meshgrid(np.arange(300), np.arange(300), indexing="ij")
    keys = key_of(5, first, second)
    assert len(np.unique(keys)) == 300 * 300
    assert keys[7, 11] == key_of(5, 7, 11)[0]
    assert keys[7, 11] != key_of(6, 7, 11)[0]


def test_below_is_even() -> None:
    counts = np.bincount(below(draw(key_of(0, np.arange(1000)), 70).ravel(), 7), minlength=7)
    assert (np.abs(counts - 10_000) < 400).all()
