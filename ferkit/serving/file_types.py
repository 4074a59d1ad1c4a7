"""What a file is, by its first bytes: its name may say anything."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PICTURES: Final = ((b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"))
ENDINGS: Final = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif")
"""Names of files that are meant to be pictures, whatever is in them."""

OTHERS: Final = (
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"<svg", "an SVG"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x0a", "a JPEG XL"),
)
FTYP: Final = {b"avif": "an AVIF", b"avis": "an AVIF", b"mif1": "a HEIF", b"msf1": "a HEIF"}

LITTER: Final = (".DS_Store", "Thumbs.db", "desktop.ini")
"""What systems put into folders by themselves."""


def is_picture(start: bytes) -> bool:
    """Whether a file that begins so is a picture of a kind that is read (`pyfunc.FORMATS`).

    Args:
        start: the first 16 bytes.
    """
    if start.startswith(tuple(mark for mark, _ in PICTURES)):
        return True
    webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return webp or (start[:2] == b"BM" and start[6:10] == b"\0\0\0\0")


def name_kind(start: bytes) -> str:
    """What a file is that is no picture of a kind that is read: `a TIFF`, or empty for what has no name here."""
    if start[4:8] == b"ftyp":
        return FTYP.get(start[8:12], "a HEIC" if start[8:11] == b"hei" else "a film")
    return next((name for mark, name in OTHERS if start.startswith(mark)), "")


def read_start(path: Path) -> bytes:
    """The first 16 bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(16)
