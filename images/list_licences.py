"""Every package of the images with its licence, as a page in Markdown: `make licences` writes it to docs/licences.md.

The names come from the lock files, the licences from the packages' own metadata in this environment; so packages for
other systems than this one are named without.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = {"cpu": "requirements.lock", "gpu": "requirements-gpu.lock", "server": "requirements-server.lock"}

FROM_THEIR_FILES = {"huey": "MIT License", "namex": "Apache-2.0", "skops": "MIT License"}
"""Named in no metadata; read in the licence file that the package brings."""

HEAD = """# Licences of what the images hold

Written by `make licences` from the lock files and the packages' own metadata; do not edit. `-`: not for the system it
was written on, so not looked at. What Debian brings is in each image's bill of materials (`make sbom`).

All are permissive but for these: `certifi` is under the Mozilla Public License (changes to its files are to be
published); `psycopg2-binary`, in the server's image alone, under the LGPL (users may replace it, as it is a package of
its own); the `nvidia-` packages of the GPU's image are NVIDIA's, under its own terms.

| package | version | licence | images |
| --- | --- | --- | --- |"""


def locked() -> dict[tuple[str, str], list[str]]:
    """Packages with their versions, and the images that hold them; a lock file may have one version per system."""
    found: dict[tuple[str, str], list[str]] = {}
    for image, name in IMAGES.items():
        for package in re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", (ROOT / name).read_text(), re.MULTILINE):
            found.setdefault(package, []).append(image)
    return found


def licences(names: list[str]) -> dict[str, str]:
    """Each package's licence, of those that are installed here."""
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--with-system", "--format=json"]
    said = subprocess.run([*command, "--packages", *names], capture_output=True, text=True, check=True).stdout
    found = {one["Name"].lower().replace("_", "-"): one["License"] for one in json.loads(said)}
    return {**found, **{name: licence for name, licence in FROM_THEIR_FILES.items() if name in found}}


def main() -> None:
    """Entry point."""
    packages = locked()
    licence = licences(sorted({name for name, _ in packages}))
    unknown = ", ".join(name for name, said in licence.items() if said == "UNKNOWN")
    if unknown:
        sys.exit(f"images/list_licences.py: no metadata names a licence of {unknown}; look into their files")
    print(HEAD)
    for (name, version), images in sorted(packages.items()):
        print(f"| {name} | {version} | {licence.get(name, '-')} | {', '.join(images)} |")


if __name__ == "__main__":
    main()
