"""What an image holds, as a CycloneDX 1.6 bill of materials: its Python packages and Debian's, asked of the image.

    make sbom IMAGE=registry.example/faces/fer-pipeline:COMMIT > sbom.cdx.json

It runs a container of the image without network and reads what is installed, so it says what was shipped, not what a
lock file asked for. Python itself, and the shared libraries inside wheels (CUDA's, libpq), are not taken apart.
"""

# py-serializable's decorators hide the classes of cyclonedx from pyright.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportArgumentType=false

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

# Runs in the image: only Python's own library.
ASK = """
import importlib.metadata, json, platform, shutil, subprocess
python = []
for found in importlib.metadata.distributions():
    about = found.metadata
    osi = [one for one in about.get_all("Classifier", []) if one.startswith("License :: OSI Approved :: ")]
    licence = about.get("License-Expression") or (osi[0].split(" :: ")[-1] if len(osi) == 1 else "")
    python.append({"name": about["Name"], "version": found.version, "licence": licence})
debian, release = [], ""
if shutil.which("dpkg-query"):
    form = "${binary:Package} ${Version} ${Architecture}\\n"
    said = subprocess.run(["dpkg-query", "--show", "--showformat", form], capture_output=True, text=True, check=True)
    debian = [line.split(" ") for line in said.stdout.splitlines()]
    release = platform.freedesktop_os_release().get("VERSION_ID", "")
print(json.dumps({"interpreter": platform.python_version(), "python": python, "debian": debian, "release": release}))
"""


class NoAnswer(Exception):
    """Why there is no bill of materials; a sentence for a person."""


def ask(image: str) -> dict[str, Any]:
    """What is installed in an image that this machine has.

    Raises:
        NoAnswer: it cannot be run.
    """
    docker = os.environ.get("DOCKER", "docker").split()
    command = [*docker, "run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--pull=never"]
    try:
        said = subprocess.run([*command, image, "python3", "-c", ASK], capture_output=True, text=True, check=True)
    except OSError as error:
        raise NoAnswer(f"{docker[0]}: {error}; install Docker, or set DOCKER") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [f"status {error.returncode}"])[-1]
        raise NoAnswer(f"{image} cannot be asked: {last}; build or pull it first") from None
    return json.loads(said.stdout)


def bill_of_materials(image: str, installed: dict[str, Any]) -> Bom:
    """The bill of what `ask` found."""
    bom = Bom()
    bom.metadata.component = Component(type=ComponentType.CONTAINER, name=image, bom_ref=image)
    interpreter = PackageURL("generic", name="python", version=installed["interpreter"])
    bom.components.add(component(ComponentType.PLATFORM, interpreter))
    for one in installed["python"]:
        name = one["name"].lower().replace("_", "-").replace(".", "-")
        purl = PackageURL("pypi", name=name, version=one["version"])
        bom.components.add(component(ComponentType.LIBRARY, purl, one["licence"]))
    for name, version, architecture in installed["debian"]:
        qualifiers = {"arch": architecture, "distro": f"debian-{installed['release']}"}
        purl = PackageURL("deb", "debian", name.partition(":")[0], version, qualifiers)
        bom.components.add(component(ComponentType.LIBRARY, purl))
    bom.register_dependency(bom.metadata.component, bom.components)
    return bom


def component(kind: ComponentType, purl: PackageURL, licence: str = "") -> Component:
    """One thing that is installed."""
    return Component(
        type=kind,
        name=purl.name,
        version=purl.version,
        purl=purl,
        bom_ref=purl.to_string(),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", help="name or digest of an image that this machine has")
    image = parser.parse_args().image
    try:
        bom = bill_of_materials(image, ask(image))
    except NoAnswer as error:
        sys.exit(f"images/sbom.py: {error}")
    print(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2))


if __name__ == "__main__":
    main()
