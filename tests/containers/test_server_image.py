"""A team's MLflow server in its container: as nobody, on a read-only disk, with compose.yaml's own command."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import requests
import yaml
from engine import ROOT, Missing, build_server, docker, ensure_base, ensure_engine, install, program
from mlflow_server import ADMIN, IMAGES
from postgres import postgres_server
from swift import swift_server

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

NAME = "fer-pipeline-test-server"
PASSWORD = "a-password-of-rita"


@pytest.fixture(scope="module")
def image() -> str:
    try:
        ensure_engine()
        return build_server()
    except Missing as missing:
        pytest.exit(str(missing), returncode=1)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def address(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server in its container, on this machine's network: an engine in a sandbox makes no other."""
    service = yaml.safe_load((IMAGES / "compose.yaml").read_text())["services"]["mlflow"]
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [re.sub("^--port=.*", f"--port={port}", word) for word in service["command"]]
    fixed = {name: value for name, value in service["environment"].items() if "$" not in value}
    with swift_server(tmp_path_factory.mktemp("s3")) as s3, postgres_server(folder) as postgres:
        keys = {"aws_access_key_id": s3.key, "aws_secret_access_key": s3.secret, "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=s3.endpoint, **keys).create_bucket(Bucket="mlflow")
        given = {**fixed, **postgres.environment(), **s3.environment(), **ADMIN}
        given |= {"MLFLOW_ARTIFACTS_DESTINATION": "s3://mlflow/team", "MLFLOW_FLASK_SERVER_SECRET_KEY": "flask-4711"}
        given |= {"MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*"}
        strict = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        variables = [f"--env={name}={value}" for name, value in given.items()]
        docker("rm", "--force", NAME, check=False)
        docker("run", "--detach", f"--name={NAME}", "--network=host", *strict, *variables, image, *command)
        try:
            wait_for(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            docker("rm", "--force", NAME, check=False)


def wait_for(health: str) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        try:
            if requests.get(health, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)
    pytest.fail(docker("logs", NAME, check=False).stderr[-3000:])


def test_an_account_is_made_in_the_container_and_artifacts_go_through_to_the_bucket(address: str) -> None:
    given = ("exec", "--interactive", NAME, "python", "/opt/server/add_user.py", "rita", "trainer", "--server", address)
    made = docker(*given, input=f"{PASSWORD}\n")
    assert made.stdout == "rita is trainer now\n"
    rita = {"auth": ("rita", PASSWORD), "timeout": 60}
    made = requests.post(f"{address}/api/2.0/mlflow/experiments/create", json={"name": "rita's"}, **rita)
    there = f"{address}/api/2.0/mlflow-artifacts/artifacts/{made.json()['experiment_id']}/run/artifacts/seven.txt"
    assert requests.put(there, data=b"seven", **rita).ok
    assert requests.get(there, **rita).content == b"seven"
    assert requests.get(there, timeout=60).status_code == 401
    user = docker("exec", NAME, "id", "--user").stdout.strip()
    assert user == "10001"


def test_no_password_is_on_a_command_line(address: str) -> None:
    listed = docker("exec", NAME, "python", "-c", PRINT_COMMAND_LINES).stdout
    assert "mlflow" in listed
    for name, secret in {**ADMIN, "MLFLOW_FLASK_SERVER_SECRET_KEY": "flask-4711"}.items():
        assert "PASSWORD" not in name or secret not in listed


PRINT_COMMAND_LINES = """
import pathlib
for one in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    print(one.read_bytes().replace(b"\\0", b" ").decode(errors="replace"))
"""


def test_the_bill_of_materials_lists_what_the_lock_file_asked_for(image: str) -> None:
    command = [sys.executable, ROOT / "images" / "sbom.py", image]
    environment = {"DOCKER": program(), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    purls = {component["purl"] for component in json.loads(done.stdout)["components"]}
    lock = (ROOT / "requirements-server.lock").read_text()
    for_every_system = re.findall(r"^([a-z0-9-]+)==(\S+) \\$", lock, re.MULTILINE)
    assert len(for_every_system) > 50
    assert {f"pkg:pypi/{name}@{version}" for name, version in for_every_system} <= purls
    assert any(purl.startswith("pkg:deb/debian/libc6@") and "distro=debian-12" in purl for purl in purls)


def test_the_base_is_written_by_digest_as_its_registry_returns_it(tmp_path: Path) -> None:
    """A registry of Debian's packages stands for Docker's, and the tests' own base for Python's."""
    ensure_engine()
    if not shutil.which("docker-registry"):
        install("docker-registry")
    port = free_port()
    config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(tmp_path / "images")}}}
    (tmp_path / "registry.yml").write_text(yaml.safe_dump({**config, "http": {"addr": f"127.0.0.1:{port}"}}))
    (tmp_path / "images").mkdir()
    shutil.copytree(IMAGES, tmp_path / "tree" / "images")
    dockerfile = tmp_path / "tree" / "images" / "Dockerfile"
    registry = subprocess.Popen(
        ["docker-registry", "serve", tmp_path / "registry.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    tag = f"127.0.0.1:{port}/library/python:3.11-slim"
    try:
        wait_for(f"http://127.0.0.1:{port}/v2/")
        docker("tag", ensure_base(), tag)
        pushed = docker("push", tag).stdout
        docker("rmi", tag)

        def update(*words: str) -> subprocess.CompletedProcess[str]:
            environment = {"DOCKER": program(), "PATH": "/usr/bin:/bin"}
            command = [tmp_path / "tree" / "images" / "update_base", *words]
            return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

        assert update(tag).returncode == 0
        [written] = re.findall(r"^ARG BASE=(.*)$", dockerfile.read_text(), re.MULTILINE)
        assert written.startswith(f"{tag}@sha256:")
        assert written.partition("@")[2] in pushed
        assert "is what the tag names today" in update().stdout  # the tag is the one in the file
        before = dockerfile.read_text()
        refused = update(f"127.0.0.1:{port}/library/absent:1")
        assert refused.returncode == 1
        assert "use a tag that this machine can pull" in refused.stderr
        assert dockerfile.read_text() == before
    finally:
        registry.terminate()
        registry.wait(30)
        docker("rmi", "--force", tag, check=False)
