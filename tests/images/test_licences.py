"""docs/licences.md names what the lock files hold, as they stand."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = {"cpu": "requirements.lock", "gpu": "requirements-gpu.lock", "server": "requirements-server.lock"}
ROW = re.compile(r"^\| (\S+) \| (\S+) \| (.+) \| ([a-z, ]+) \|$", re.MULTILINE)


def rows() -> list[tuple[str, str, str, str]]:
    return ROW.findall((ROOT / "docs" / "licences.md").read_text())[1:]


def test_every_package_of_every_image_is_listed() -> None:
    locked: dict[tuple[str, str], set[str]] = {}
    for image, name in IMAGES.items():
        for package in re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", (ROOT / name).read_text(), re.MULTILINE):
            locked.setdefault(package, set()).add(image)
    listed = {(name, version): set(images.split(", ")) for name, version, _, images in rows()}
    assert listed == locked, "make licences"


def test_no_licence_is_unknown_and_none_asks_for_our_source() -> None:
    licences = {name: licence for name, _, licence, _ in rows()}
    assert "UNKNOWN" not in licences.values()
    copyleft = {name for name, licence in licences.items() if re.search("GPL|General Public", licence)}
    assert copyleft == {"psycopg2-binary"}
