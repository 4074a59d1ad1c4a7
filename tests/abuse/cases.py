"""Small inputs on which an earlier version fell short (issue 18), drawn: each stands for a kind.

`test_cases.py` says what each gets. No photographs: faces are 48 x 48 noise around a class's grey level, enough to
ingest.
"""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

HEADER = "emotion,pixels,Usage"
USAGES = ["Training"] * 8 + ["PublicTest", "PrivateTest"]


def draw_rows():
    """140 rows (emotion, levels as text, usage), ten of every emotion, all different, every split present."""
    rng = np.random.default_rng(0)
    return [
        (emotion, rng.normal(60 + 20 * emotion, 25, 2304).clip(0, 255).astype(int).tolist(), USAGES[turn % 10])
        for turn in range(20)
        for emotion in range(7)
    ]


def table(rows, cell, head=HEADER, end="\n"):
    """A CSV's text: the header, then `cell(emotion, levels, usage)` for every row."""
    return end.join([head, *(cell(*row) for row in rows)]) + end


def text(levels, between=" "):
    return between.join(map(str, levels))


def csvs(out):
    rows = draw_rows()
    plain = table(rows, lambda e, p, u: f"{e},{text(p)},{u}")
    rgba = [(e, [v for level in p for v in (level, level, level, 255)], u) for e, p, u in rows]
    made = {
        "plain.csv": plain,
        "rgba48.csv": table(rgba, lambda e, p, u: f"{e},{text(p)},{u}"),
        "emotion_float.csv": table(rows, lambda e, p, u: f"{e}.0,{text(p)},{u}"),
        "usage_lower.csv": table(rows, lambda e, p, u: f"{e},{text(p)},{u.lower()}"),
        "pixels_float.csv": table(rows, lambda e, p, u: f"{e},{' '.join(f'{v}.0' for v in p)},{u}"),
        "pixels_brackets.csv": table(rows, lambda e, p, u: f"{e},[{text(p)}],{u}"),
        "pixels_commas_quoted.csv": table(rows, lambda e, p, u: f'{e},"{text(p, ",")}",{u}'),
        "pixels_scaled.csv": table(rows, lambda e, p, u: f"{e},{' '.join(repr(v / 255) for v in p)},{u}"),
        "trailing_commas.csv": table(rows, lambda e, p, u: f"{e},{text(p)},{u},"),
        "note_with_line_feed.csv": table(rows, lambda e, p, u: f'{e},{text(p)},{u},"two\nlines"', HEADER + ",note"),
        "usage_empty.csv": table(rows, lambda e, p, u: f"{e},{text(p)},"),
    }
    for name, content in made.items():
        (out / name).write_text(content)
    with zipfile.ZipFile(out / "two_sets.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ckextended.csv", table(rows[:70], lambda e, p, u: f"{e},{text(p)},{u}"))
        archive.writestr("fer2013.csv", plain)


def draw_face(side=200):
    """A drawn face, grey."""
    face = Image.new("L", (side, side), 90)
    pen = ImageDraw.Draw(face)
    pen.ellipse((side * 0.15, side * 0.05, side * 0.85, side * 0.95), fill=190)
    for left in (0.3, 0.6):
        pen.ellipse((side * left, side * 0.35, side * (left + 0.1), side * 0.45), fill=20)
    pen.arc((side * 0.3, side * 0.5, side * 0.7, side * 0.8), 20, 160, fill=20, width=side // 25)
    return face


def pictures(out):
    face = draw_face()
    folder = out / "endings"
    folder.mkdir()
    for name, form in (
        ("a.png", "PNG"),
        ("b.jfif", "JPEG"),
        ("c.jpe", "JPEG"),
        ("d.webp", "WEBP"),
        ("e.gif", "GIF"),
        ("f.bmp", "BMP"),
    ):
        face.save(folder / name, form)
    face.save(out / "photo[final].png")
    (out / "z[").mkdir()
    (out / "z[" / "b].png").write_bytes((out / "photo[final].png").read_bytes())
    (out / "=1+1.png").write_bytes((out / "photo[final].png").read_bytes())
    clear = face.convert("RGBA")
    clear.putalpha(0)
    clear.save(out / "transparent.png")
    Image.fromarray(np.asarray(face).astype(np.uint16) * 16).save(out / "twelve_bits_in_sixteen.png")
    Image.new("RGBA", (7000, 7000), (90, 120, 90, 200)).save(out / "large_rgba.png", compress_level=9)


def configs(out):
    (out / "utf16.yaml").write_text("train: {epochs: 1}\n", encoding="utf-16")
    (out / "latin1.yaml").write_bytes("# réglage\ntrain: {epochs: 1}\n".encode("latin-1"))
    (out / "twice.yaml").write_text("train: {epochs: 1}\ntrain: {batch_size: 32}\n")
    (out / "key_twice.yaml").write_text("train: {epochs: 1, epochs: 9}\n")
    (out / "date.yaml").write_text("train: {epochs: 2020-99-99}\n")
    (out / "number_as_key.yaml").write_text("train: {1: 2}\n")
    (out / "deep.yaml").write_text("train: " + "[" * 3000 + "]" * 3000 + "\n")
    names = "abcdefgh"
    lines = [f"a: &a [{', '.join(['x'] * 9)}]"] + [
        f"{name}: &{name} [{', '.join(['*' + before] * 9)}]" for before, name in itertools.pairwise(names)
    ]
    (out / "aliases.yaml").write_text("\n".join(lines) + "\ntrain: {epochs: *h}\n")


def draw_cases(out: Path) -> None:
    """All of them, into a new folder."""
    out.mkdir(parents=True)
    csvs(out)
    pictures(out)
    configs(out)
