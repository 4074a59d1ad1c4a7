"""The five augmentations of the notebooks, each on many faces at once.

Faces are uint8 (n, side, side) in and out; inputs are left alone. All arithmetic is on integers, so that a face comes
out with the same pixels on every machine; a real number (a rotated position, a bell curve) is first rounded to
1/256.

The operations are those of "Image manipulation and processing using NumPy and SciPy" (Gouillart and Varoquaux, SciPy
Lecture Notes), which the notebooks applied face by face: a circular mask, a rotation, a blur, a mirror, noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from components.balance.draws import below, draw

if TYPE_CHECKING:
    from components.balance.parameters import Balance

SIGMA_STEPS = 10
"""A drawn sigma is one of this many plus one, evenly spaced over its range."""


def mask(faces: np.ndarray) -> np.ndarray:
    """Blackens everything outside the circle inscribed in the frame: corners, hair, background.

    A pixel (y, x) is outside where (x - side/2)**2 + (y - side/2)**2 > side**2 / 4, as in the lecture notes.
    """
    return faces * inscribed_circle(faces.shape[1])


@cache
def inscribed_circle(side: int) -> np.ndarray:
    """uint8 (side, side): 1 within the circle of `mask`, 0 outside."""
    y, x = np.ogrid[:side, :side]
    return ((2 * x - side) ** 2 + (2 * y - side) ** 2 <= side * side).astype(np.uint8)


def flip(faces: np.ndarray) -> np.ndarray:
    """Mirrors left and right."""
    return np.ascontiguousarray(faces[:, :, ::-1])


def rotate(faces: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Turns each face about its middle, in a frame large enough to hold all of it, and scales that back to `side`.

    As the notebooks did by `ndimage.rotate(face, angle)` (which grows the frame and fills it with black) and a resize;
    here in one bilinear step, so that a face is interpolated once.

    Args:
        faces: uint8 (n, side, side).
        degrees: int (n,), counterclockwise as seen.
    """
    n, side = faces.shape[:2]
    framed = np.zeros((n, side + 2, side + 2), np.uint8)  # black all round: what lies outside is read from there
    framed[:, 1:-1, 1:-1] = faces
    framed = framed.reshape(n, -1)
    turned = np.empty((n, side * side), np.uint8)
    for angle in np.unique(degrees).tolist():
        which = np.flatnonzero(degrees == angle)
        corner, right, down = _sources(side, angle)
        some = framed[which]
        top = some.take(corner, 1) * (256 - right) + some.take(corner + 1, 1) * right
        corner = corner + side + 2
        bottom = some.take(corner, 1) * (256 - right) + some.take(corner + 1, 1) * right
        turned[which] = (((top + 128) >> 8) * (256 - down) + ((bottom + 128) >> 8) * down + 128) >> 8
    return turned.reshape(faces.shape)


@cache
def _sources(side: int, angle: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each pixel of a face turned by `angle` comes from.

    Returns:
        Flat index (side*side,) of the upper left of its four source pixels, in a face with one pixel of black round
        it; how far it lies to the right of that and below it, uint16, in 1/256 pixel: all products fit 16 bits.
    """
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    grown = abs(cosine) + abs(sine)
    at = (np.arange(side) - (side - 1) / 2) * grown
    middle = (side - 1) / 2 + 1
    x = cosine * at[None, :] - sine * at[:, None] + middle
    y = sine * at[None, :] + cosine * at[:, None] + middle
    x, y = (np.floor(256 * position + 0.5).astype(np.int64) for position in (x, y))
    outside = (x < 0) | (y < 0) | (x >= 256 * (side + 1)) | (y >= 256 * (side + 1))
    x, y = np.where(outside, 0, x), np.where(outside, 0, y)  # exactly the border's corner: black
    corner = (y >> 8) * (side + 2) + (x >> 8)
    return corner.ravel(), (x & 255).astype(np.uint16).ravel(), (y & 255).astype(np.uint16).ravel()


def blur(faces: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Gaussian blur, cut off at 3 sigma; beyond the frame the face is mirrored (`ndimage.gaussian_filter`'s "reflect").

    The notebooks drew a sigma and then did not use it: theirs was always 1. Here each face is blurred with its own.

    Args:
        faces: uint8 (n, side, side).
        sigma: float (n,), pixels.
    """
    blurred = np.empty_like(faces)
    for width in np.unique(sigma).tolist():
        which = np.flatnonzero(sigma == width)
        weights = bell(width)
        blurred[which] = _smooth(_smooth(faces[which], weights, 1), weights, 2)
    return blurred


@cache
def bell(sigma: float) -> tuple[int, ...]:
    """Weights of a Gaussian at distance 0, 1, 2, … pixels in 1/256; both sides together add up to 256."""
    side = [math.exp(-((distance / sigma) ** 2) / 2) for distance in range(math.ceil(3 * sigma) + 1)]
    total = side[0] + 2 * sum(side[1:])
    weights = [math.floor(256 * weight / total + 0.5) for weight in side]
    return (256 - 2 * sum(weights[1:]), *weights[1:])


def _smooth(faces: np.ndarray, weights: tuple[int, ...], axis: int) -> np.ndarray:
    reach, side = len(weights) - 1, faces.shape[axis]
    mirrored = np.pad(faces, np.array([[reach * (dim == axis)] * 2 for dim in range(3)]), "symmetric")
    moved = [mirrored[(slice(None),) * axis + (slice(start, start + side),)] for start in range(2 * reach + 1)]
    total = moved[reach] * np.uint16(weights[0])  # at most 255 * 256: fits 16 bits
    for distance in range(1, reach + 1):
        pair = moved[reach - distance].astype(np.uint16) + moved[reach + distance]
        total += pair * np.uint16(weights[distance])
    return ((total + 128) >> 8).astype(np.uint8)


def salt(faces: np.ndarray, fraction: float, numbers: np.ndarray) -> np.ndarray:
    """Turns pixels at random places white.

    The notebooks added noise to uint8 faces, which wraps round: bright pixels came out black. White is white here.

    Args:
        faces: uint8 (n, side, side).
        fraction: of the pixels, 0..1, in steps of 1/65536.
        numbers: uint64 (n, ceil(side*side / 4)), random: 16 bits decide on each pixel.
    """
    side = faces.shape[1]
    lots = numbers.astype("<u8").view("<u2")[:, : side * side].reshape(faces.shape)
    return np.where(lots < round(fraction * 65536), np.uint8(255), faces)


def rotate_at_random(faces: np.ndarray, key: np.ndarray, largest: int) -> np.ndarray:
    """Turns each face by 1..largest degrees to either side; `key` (uint64 (n,)) decides."""
    number = below(draw(key, 1)[:, 0], 2 * largest)
    return rotate(faces, np.where(number < largest, number - largest, number - largest + 1))


def blur_at_random(faces: np.ndarray, key: np.ndarray, smallest: float, largest: float) -> np.ndarray:
    """Blurs each face by a sigma between the two; `key` (uint64 (n,)) decides."""
    step = below(draw(key, 1)[:, 0], SIGMA_STEPS + 1)
    return blur(faces, smallest + (largest - smallest) * step / SIGMA_STEPS)


def salt_at_random(faces: np.ndarray, key: np.ndarray, fraction: float) -> np.ndarray:
    """Turns this fraction of each face's pixels white; `key` (uint64 (n,)) decides which."""
    return salt(faces, fraction, draw(key, math.ceil(faces.shape[1] ** 2 / 4)))


@dataclass(frozen=True)
class Technique:
    """One way to make new faces.

    Attributes:
        make: faces uint8 (n, side, side), their keys uint64 (n,) and the settings, to new faces.
        varies: whether chance is in it; without, a second face of the same parent would be the same picture again.
    """

    make: Callable[[np.ndarray, np.ndarray, Balance], np.ndarray]
    varies: bool = True


TECHNIQUES: Mapping[str, Technique] = {
    "mask": Technique(lambda faces, _, __: mask(faces), varies=False),
    "rotation": Technique(lambda faces, key, settings: rotate_at_random(faces, key, settings.rotation)),
    "blur": Technique(lambda faces, key, settings: blur_at_random(faces, key, *settings.blur)),
    "flip": Technique(lambda faces, _, __: flip(faces), varies=False),
    "salt": Technique(lambda faces, key, settings: salt_at_random(faces, key, settings.salt)),
}
"""By the names that `balance.mix` uses."""
