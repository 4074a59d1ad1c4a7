"""The parts of a drawn face, each painted onto the canvas over the ones before it, in the order of draw.py.

`skin`, `hair` and `yaw` are float32 (n, 1, 1), grey levels and a turn of the head; `light` is where light comes from,
two of the same; `traits` are how far each trait of an expression is from rest.
"""

from __future__ import annotations

import numpy as np

from ferkit.data.sample.canvas import Canvas, Dice, stroke


def paint_head(canvas: Canvas, dice: Dice, skin: np.ndarray, hair: np.ndarray, light: tuple) -> None:
    """Background, hair behind the head, neck, ears, the head itself, and the hair on it."""
    canvas.grey += dice.between(30, 225) + dice.around(30) * canvas.x + dice.around(30) * canvas.y
    wide, high = dice.between(0.64, 0.76), dice.between(0.88, 0.96)
    zero = np.zeros_like(wide)
    long_hair = dice.happens(0.4)
    mane = canvas.ellipse(zero, dice.between(-0.20, -0.05), wide + dice.between(0.10, 0.2), high + 0.08)
    canvas.paint(
        np.where(long_hair > 0, np.minimum(mane, np.maximum(np.abs(canvas.x) - wide - 0.12, -canvas.y)), mane + 9), hair
    )
    canvas.paint(np.maximum(np.abs(canvas.x) - 0.36, 0.5 - canvas.y), skin * 0.72)
    for ear in (-1, 1):
        canvas.paint(canvas.ellipse(ear * wide, zero + 0.02, zero + 0.1, zero + 0.17), skin * 0.86, 1 - long_hair)
    # The head: an ellipse that narrows towards the chin, lit from one side, darker towards its edge.
    narrow = 1 - dice.between(0.06, 0.22) * np.clip(canvas.y, 0, 1)
    u, v = canvas.x / (wide * narrow), canvas.y / high
    radius = np.sqrt(u * u + v * v)
    lit = 1 + 0.22 * (light[0] * u + light[1] * v) - 0.16 * radius * radius * radius * radius
    canvas.paint((radius - 1) * wide, skin * lit)
    hairline = (
        dice.between(-0.66, -0.52)
        + dice.around(0.06) * canvas.x
        + dice.between(0.2, 2.4) * canvas.x * canvas.x * canvas.x * canvas.x
    )
    bald = dice.happens(0.12)
    top = np.maximum((radius - 1.06) * wide, canvas.y - hairline)
    shine = 1 + 0.25 * (light[0] * u - v - 0.8)
    canvas.paint(top, hair * shine, 1 - bald, soft=1.5)


def paint_nose(canvas: Canvas, dice: Dice, skin: np.ndarray, light: tuple, yaw: np.ndarray, traits: dict) -> None:
    """Its ridge, on the side away from the light, nostrils, and the wrinkles of a sneer."""
    length, wide = dice.between(0.15, 0.22), dice.between(0.085, 0.125)
    length = length - 0.03 * traits["sneer"]
    x = canvas.x - yaw * 0.05
    side = np.where(light[0] > 0, x, -x)  # the side away from the light
    ridge = np.maximum(np.abs(side + wide * (canvas.y + 0.1) * 1.4) - 0.022, np.abs(canvas.y - 0.02) - length * 0.9)
    canvas.paint(ridge, skin * 0.70, 0.6, soft=2)
    for nostril in (-1, 1):
        hole = canvas.ellipse(yaw * 0.05 + nostril * wide * 0.62, length, wide * 0.42, wide * 0.28)
        canvas.paint(hole, skin * 0.38, 0.9, soft=1.5)
    for wrinkle in (-0.06, 0.0, 0.06):
        t = x / 0.10
        at = wrinkle - 0.06 - 0.03 * t * t
        line = stroke(canvas.y - at, t, -0.6 * t, 0.1, 0.012)
        canvas.paint(line, skin * 0.55, np.clip(traits["sneer"], 0, 1) * 0.8)


def paint_folds(canvas: Canvas, skin: np.ndarray, traits: dict) -> None:
    """Lines an expression leaves: from the nose to the mouth, between the brows, on the forehead."""
    dark = skin * 0.58
    for side in (-1, 1):
        u = side * canvas.x
        t = (canvas.y - 0.36) / 0.17
        at = 0.34 + 0.10 * t + 0.02 * (1 - t * t)
        fold = stroke(u - at, t, 0.5, 0.17, 0.014)
        canvas.paint(fold, dark, np.clip(traits["fold"], 0, 1) * 0.75, soft=1.3)
        frown = stroke(u - 0.06, (canvas.y + 0.34) / 0.1, 0, 0.1, 0.014)
        canvas.paint(frown, dark, np.clip(traits["furrow"], 0, 1) * 0.9)
        cheek = canvas.ellipse(side * 0.42, 0.2, 0.17, 0.11)
        canvas.paint(cheek, skin * 1.16, np.clip(traits["cheek"], 0, 1) * 0.55, soft=3)
    for height in (-0.62, -0.53):
        t = canvas.x / 0.32
        line = stroke(
            canvas.y - height - 0.04 * t * t,
            t,
            0,
            0.3,
            0.012,
        )
        canvas.paint(line, dark, np.clip(traits["forehead"], 0, 1) * 0.6)


def paint_mouth(canvas: Canvas, dice: Dice, skin: np.ndarray, traits: dict) -> None:
    """Lips, the opening between them, teeth and tongue."""
    wide = dice.between(0.23, 0.29) + traits["width"]
    smile = traits["smile"] + dice.around(0.015)
    gap = np.maximum(traits["open"] + dice.around(0.012), 0)
    lip = dice.between(0.030, 0.052) + traits["lip"]
    skew = (traits["skew"] + 0.01) * (2 * dice.happens(0.5) - 1)
    t = canvas.x / wide
    inside = np.clip(1 - t * t, 0, 1)
    root = np.sqrt(inside)
    # A parabola's lens, or rounder (surprise), or with corners (a snarl).
    bulge = inside + (np.clip(traits["round"], 0, 1) + np.clip(traits["square"], 0, 1)) * 0.8 * (root - inside)
    middle = 0.47 + dice.around(0.015) - smile * (t * t - 0.45) + skew * t
    slope = (-2 * smile * t + skew) / wide
    lean = np.sqrt(1 + slope * slope)
    high = middle - gap * 0.42 * bulge - traits["sneer"] * 0.035 * inside
    low = middle + gap * 0.58 * bulge
    beyond = (np.abs(t) - 1) * wide
    tone = skin * dice.between(0.56, 0.72)
    outer = np.maximum(
        np.maximum(high - lip * (0.3 + inside * 0.7) - canvas.y, canvas.y - low - lip * (0.3 + inside)) / lean,
        beyond,
    )
    canvas.paint(outer, tone)
    canvas.paint(
        canvas.ellipse(0, middle + gap * 0.58 + lip + 0.075, wide * 0.5, 0.022),
        skin * 0.7,
        0.5,
        soft=2,
    )
    seam = 0.011
    inner = np.maximum(np.maximum(high - seam - canvas.y, canvas.y - low - seam) / lean, beyond)
    canvas.paint(inner, np.minimum(skin * 0.25, 40))
    shown = np.maximum(gap * np.clip(traits["teeth"], 0, 1) * bulge, 0)
    teeth = np.maximum(np.maximum(high + 0.006 - canvas.y, canvas.y - high - shown) / lean, beyond + wide * 0.08)
    canvas.paint(teeth, 238, np.clip(shown * 40, 0, 1))
    tongue = np.maximum(
        inner + 0.01,
        canvas.ellipse(0, low + 0.01, wide * 0.55, np.maximum(gap * 0.35, 0.01)),
    )
    canvas.paint(tongue, skin * 0.55, np.clip(gap * 5 - 0.7, 0, 1))


def paint_eyes(canvas: Canvas, dice: Dice, skin: np.ndarray, hair: np.ndarray, traits: dict) -> None:
    """Sockets, eyeballs, irises, lids, and the brows above."""
    apart, half = dice.between(0.29, 0.34), dice.between(0.135, 0.165)
    at_rest = dice.between(0.060, 0.082)
    iris, iris_tone = dice.between(0.068, 0.082) * (1 + traits["iris"] * 0.5), dice.between(20, 95)
    gaze_x, gaze_y = dice.around(0.02), traits["gaze"] * 0.03 + dice.around(0.008)
    slant = dice.around(0.06)
    brow_y, brow_thick, brow_half = dice.between(-0.37, -0.32), dice.between(0.022, 0.042), dice.between(0.17, 0.21)
    brow_tone = np.minimum(hair, skin * 0.55)
    eye_y = -0.13
    for side in (-1, 1):
        u = side * canvas.x - apart  # outwards from the middle of the eye
        t = u / half
        inside = 1 - t * t
        lift = np.maximum(at_rest * (1 + traits["lid"] + dice.around(0.05)), 0.012)
        drop = at_rest * 0.75 * (1 - traits["lower_lid"]) * np.clip(1 + traits["lid"] * 0.35, 0.5, 1.5)
        level = eye_y - slant * u
        upper, lower = level - lift * inside, level + drop * inside
        slope = 2 * lift * t / half
        lean = np.sqrt(1 + slope * slope)
        opening = np.maximum(np.maximum(upper - canvas.y, canvas.y - lower) / lean, (np.abs(t) - 1) * half)
        socket = canvas.ellipse(side * apart, eye_y - 0.05, half * 1.25, 0.15)
        canvas.paint(socket, skin * 0.74, 0.45, soft=4)
        canvas.paint(opening, np.minimum(skin * 0.3 + 165, 245))
        across = side * apart + gaze_x
        canvas.paint(np.maximum(opening, canvas.ellipse(across, eye_y + gaze_y, iris, iris)), iris_tone)
        canvas.paint(
            np.maximum(opening, canvas.ellipse(across - 0.025, eye_y + gaze_y - 0.025, iris * 0.3, iris * 0.3)),
            235,
            0.8,
        )
        canvas.paint(stroke(canvas.y - upper, t, slope, half, 0.017), skin * 0.22)
        canvas.paint(stroke(canvas.y - lower - 0.005, t, slope, half, 0.008), skin * 0.5, 0.6)
        # Brow: from its inner end (t = -1) to the outer one, thinner outwards.
        t = (u - 0.015) / brow_half
        height = brow_y - traits["brow_lift"] - dice.around(0.01)
        bend = dice.between(0.015, 0.04) + traits["arch"]
        curve = height - bend * (1 - t * t) - traits["brow_inner"] * (1 - t) * 0.5 + 0.02 * t
        slope = (2 * bend * t + traits["brow_inner"] * 0.5) / brow_half
        thick = brow_thick * (1 - 0.35 * np.clip(t, -1, 1))
        canvas.paint(stroke(canvas.y - curve, t, slope, brow_half, thick), brow_tone, 0.92)


def paint_extras(canvas: Canvas, dice: Dice, hair: np.ndarray) -> None:
    """Glasses, a moustache, a beard, and now and then something in front of the face."""
    glasses = dice.happens(0.12)
    frame, tone = dice.between(0.20, 0.24), dice.between(15, 60)
    for side in (-1, 1):
        rim = np.abs(canvas.ellipse(side * 0.32, -0.11, frame, frame * 0.85)) - 0.018
        canvas.paint(rim, tone, glasses * 0.9)
    canvas.paint(np.maximum(np.abs(canvas.y + 0.13) - 0.016, np.abs(canvas.x) - 0.1), tone, glasses * 0.9)
    t = canvas.x / 0.25
    moustache = stroke(
        canvas.y - 0.31 - 0.05 * t * t,
        t,
        0.2 * t,
        0.25,
        0.035,
    )
    canvas.paint(moustache, hair, dice.happens(0.07) * 0.85, soft=1.5)
    chin = np.maximum(
        0.68 - canvas.y - 0.5 * canvas.x * canvas.x,
        canvas.ellipse(0, 0.2, 0.64, 0.75),
    )
    canvas.paint(chin, hair, dice.happens(0.07) * 0.7, soft=2.5)
    # Something in front: a bar of any direction across a corner, as of a hand, a scarf or a microphone.
    hidden = dice.happens(0.12)
    along, across = dice.between(-1, 1), (2 * dice.happens(0.5) - 1)
    bar = np.abs(canvas.x * across - along * canvas.y - dice.between(0.45, 0.8)) / np.sqrt(
        1 + along * along
    ) - dice.between(0.05, 0.13)
    canvas.paint(bar, dice.between(30, 220), hidden)
