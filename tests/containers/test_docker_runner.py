"""kfp's DockerRunner, mended: a failed step is a failure, every time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import docker
import pytest
from docker_runner import run_container
from engine import Built

HERE = Path(__file__).resolve().parent

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

TWENTY = """
import json, sys
from kfp import dsl, local
sys.path.insert(0, HERE)
from docker_runner import mend_docker_runner

@dsl.component(base_image="IMAGE", install_kfp_package=False, packages_to_install=[])
def fail():
    raise SystemExit(3)

mend_docker_runner()
local.init(local.DockerRunner(network_mode="none"), pipeline_root=sys.argv[1])
states = []
for _ in range(20):
    try:
        fail()
        states.append("SUCCESS")
    except RuntimeError:
        states.append("FAILURE")
print("STATES", json.dumps(states))
"""


def test_a_failing_step_fails_20_times_out_of_20(images: Built, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    code = TWENTY.replace("IMAGE", images.cpu).replace("HERE", repr(str(HERE)))
    # From a file: kfp reads a component's source.
    script = tmp_path / "twenty.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script, root], capture_output=True, text=True, check=False, timeout=600)
    [states] = [line for line in done.stdout.splitlines() if line.startswith("STATES")]
    assert json.loads(states.removeprefix("STATES")) == ["FAILURE"] * 20


def test_the_exit_status_is_the_containers_even_if_it_ends_at_once(images: Built) -> None:
    client = docker.from_env()
    options = {"network_mode": "none"}
    statuses = [run_container(client, images.cpu, ["sh", "-c", "exit 3"], {}, **options) for _ in range(20)]
    assert statuses == [3] * 20
    assert run_container(client, images.cpu, ["true"], {}, **options) == 0


def test_no_container_is_left_and_its_output_is_shown(images: Built, capsys: pytest.CaptureFixture[str]) -> None:
    client = docker.from_env()
    before = {container.id for container in client.containers.list(all=True)}
    run_container(client, images.cpu, ["sh", "-c", "echo out; echo err >&2"], {}, network_mode="none")
    assert set(capsys.readouterr().out.split()) == {"out", "err"}
    assert {container.id for container in client.containers.list(all=True)} == before
