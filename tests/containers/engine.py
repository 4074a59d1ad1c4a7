"""A Docker engine for tests, a stand-in for the images' base, and the images themselves.

    python tests/containers/engine.py         installs, starts, builds, and says which images there are

An engine that answers is used. Where none does, Debian's is installed and started, which takes root.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = ROOT / ".ferpipe" / "docker"
BASE = "fer-pipeline-base:standin"
SUITE = "bookworm"  # has Python 3.11
ONE_PACKAGE = "--build-arg GPU_PACKAGES=^numpy=="
PLANTED_IN_BUILD = "planted-index-password-4711"
"""In the package index's address with which the images are built; found in no layer."""


class Missing(Exception):
    """Something that the tests need cannot be had here; the message says what, and the cure."""


@dataclass(frozen=True)
class Built:
    """The two images, and what their building printed."""

    cpu: str
    gpu: str
    log: str
    seconds: float


def docker(*arguments: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs the docker command; its output is in the result."""
    return subprocess.run([program(), *arguments], check=check, capture_output=True, text=True, **options)  # type: ignore[call-overload]


def program() -> str:
    """The docker command: Debian's, where there is one, builds with BuildKit without a plug-in."""
    return "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"


def ensure_engine() -> None:
    """Makes sure that an engine answers.

    Raises:
        Missing: there is none, and it cannot be installed.
    """
    if _answers():
        return
    if os.geteuid() != 0:
        raise Missing("no Docker engine answers, and installing one takes root: start Docker, or run this as root")
    if not shutil.which("dockerd"):
        install("docker.io")
        for newer in ("docker-cli", "docker-buildx"):  # parts of docker.io until Debian 12
            with contextlib.suppress(Missing):
                install(newer)
    HOME.mkdir(parents=True, exist_ok=True)
    log = (HOME / "dockerd.log").open("w")
    # Without bridges and packet filters, which a sandbox does not let it make: containers use the host's network.
    flags = ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none"]
    paths = ["--data-root", str(HOME / "data"), "--pidfile", str(HOME / "dockerd.pid")]
    engine = subprocess.Popen(["dockerd", *flags, *paths], stdout=log, stderr=log, start_new_session=True)
    atexit.register(engine.terminate)
    for _ in range(60):
        if _answers():
            return
        if engine.poll() is not None:
            break
        time.sleep(1)
    said = Path(log.name).read_text()[-800:]
    raise Missing(f"the Docker engine did not start; {log.name} ends with:\n{said}")


def _answers() -> bool:
    try:
        return docker("info", check=False).returncode == 0
    except OSError:
        return False


def install(*packages: str) -> None:
    """Installs Debian packages.

    Raises:
        Missing: this is no Debian, we are not root, or the mirror has them not.
    """
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Missing(f"{', '.join(packages)}: not here, and only root on Debian or Ubuntu can install it with apt-get")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *command], check=False, capture_output=True, text=True, env=environment)
        if done.returncode and command[0] == "install":
            raise Missing(f"apt-get could not install {', '.join(packages)}: {done.stderr.strip()[-400:]}")


def ensure_base() -> str:
    """The image on which ours are built: `BASE` of the environment, or a stand-in made of Debian's packages (40 s).

    The stand-in takes the place of python:3.11-slim-bookworm where no registry can be reached. The mirror's address is
    apt's own.
    """
    if base := os.environ.get("BASE"):
        return base
    if docker("image", "inspect", BASE, check=False).returncode == 0:
        return BASE
    if not shutil.which("debootstrap"):
        install("debootstrap")
    asked = ["apt-get", "indextargets", "--format", "$(SITE)"]
    sites = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    mirrors = [site for site in dict.fromkeys(sites) if site.endswith("/debian")]
    if not mirrors:
        raise Missing("apt has no Debian mirror to make a base image of; set BASE to an image with Python 3.11")
    with tempfile.TemporaryDirectory() as folder:
        packages = "--include=python3,python3-venv,ca-certificates"
        command = ["debootstrap", "--variant=minbase", packages, SUITE, folder, mirrors[0]]
        made = subprocess.run(command, check=False, capture_output=True, text=True)
        if made.returncode:
            raise Missing(f"debootstrap: {made.stdout.strip()[-400:]}; set BASE to an image with Python 3.11")
        files = subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run([program(), "import", "-", BASE], check=True, stdin=files.stdout, capture_output=True)
        files.wait()
    return BASE


def build_images() -> Built:
    """Builds both targets as `make images` does; the GPU's with one package of its lock file instead of 3 GB."""
    started = time.monotonic()
    with _build_environment() as environment:
        cpu, log = _build("cpu", environment)
        gpu, more = _build("gpu", {**environment, "BUILD_OPTIONS": f"{environment['BUILD_OPTIONS']} {ONE_PACKAGE}"})
    return Built(cpu, gpu, log + more, time.monotonic() - started)


def build_server() -> str:
    """Builds the image of a team's MLflow server, as docs/mlflow.md does; its tag."""
    with _build_environment() as environment:
        return _build("server", environment)[0]


@contextlib.contextmanager
def _build_environment() -> Iterator[dict[str, str]]:
    """What images/build is given here: the base, and the package index with a password in it."""
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "package_index"
        index.write_text(_with_password(os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple")))
        environment = {
            **os.environ,
            "DOCKER": program(),
            "BASE": ensure_base(),
            "PACKAGE_INDEX": str(index),
            "BUILD_OPTIONS": "--network host --progress plain",
        }
        if authorities := os.environ.get("SSL_CERT_FILE"):
            environment["CERTIFICATES"] = authorities
        yield environment


def _build(target: str, environment: Mapping[str, str]) -> tuple[str, str]:
    command = [ROOT / "images" / "build", "--target", target]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"images/build --target {target}:\n{done.stderr[-4000:]}{done.stdout[-1000:]}")
    return done.stdout.strip().splitlines()[-1], done.stderr + done.stdout


def _with_password(address: str) -> str:
    """The address with a password in it, unless it has one; an index that wants none takes no notice."""
    scheme, _, rest = address.partition("://")
    return address if "@" in rest else f"{scheme}://planted:{PLANTED_IN_BUILD}@{rest}"


if __name__ == "__main__":
    ensure_engine()
    print(build_images())
