"""The bill of materials: valid CycloneDX of what is installed. The container is left out here: see tests/containers."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

SCRIPT = Path(__file__).parents[2] / "images" / "sbom.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def bill(script: dict[str, Any]) -> dict[str, Any]:
    """Of this environment: the question that an image is asked, asked here."""
    said = subprocess.run([sys.executable, "-c", script["ASK"]], check=True, capture_output=True, text=True)
    bom = script["bill_of_materials"]("fer-pipeline:test", json.loads(said.stdout))
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def test_what_is_installed_is_listed_with_its_version_and_licence(bill: dict[str, Any]) -> None:
    found = {component["purl"]: component for component in bill["components"]}
    mlflow = found[f"pkg:pypi/mlflow@{version('mlflow')}"]
    assert mlflow["licenses"] == [{"license": {"name": "Apache Software License"}}]
    assert found[f"pkg:pypi/numpy@{version('numpy')}"]["licenses"][0]["expression"].startswith("BSD-3-Clause AND")
    assert [purl for purl in found if purl.startswith("pkg:generic/python@")]
    image = bill["metadata"]["component"]["bom-ref"]
    [depends] = [one["dependsOn"] for one in bill["dependencies"] if one["ref"] == image]
    assert len(depends) == len(bill["components"]) == len(found)


def test_debians_packages_have_their_release_and_architecture(script: dict[str, Any]) -> None:
    debian = [["libc6:amd64", "2.36-9+deb12u10", "amd64"]]
    installed = {"interpreter": "3.11.16", "python": [], "debian": debian, "release": "12"}
    bom = script["bill_of_materials"]("fer-pipeline:test", installed)
    purls = [str(component.purl) for component in bom.components]
    assert "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12" in purls


def test_an_image_that_is_not_here_is_one_sentence() -> None:
    refused = subprocess.run(
        [sys.executable, SCRIPT, "absent:1"],
        capture_output=True,
        text=True,
        check=False,
        env={"DOCKER": "no-such-docker", "PATH": ""},
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("images/sbom.py: no-such-docker: ")
    assert refused.stderr.count("\n") == 1
