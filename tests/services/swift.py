"""A real S3 server for tests: OpenStack Swift with its S3 API, in an environment of its own.

    python tests/services/swift.py            makes that environment (once, some seconds) and says where it is

    with swift_server(folder) as server:      starts proxy, account, container and object server; about 3 s
        server.endpoint, server.key, server.secret

Swift keeps metadata in extended attributes, so `folder` must be on a file system that has them (ext4, xfs; a tmpfs of
Linux 6.6 or newer).
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "swift-requirements.txt"
SERVERS: tuple[str, ...] = ("account", "container", "object", "proxy")
ENVIRONMENTS = HERE.parent.parent / ".ferpipe" / "services"


@dataclass(frozen=True)
class S3Server:
    """A running S3 server and who may use it."""

    endpoint: str
    key: str
    secret: str
    log: Path

    def environment(self) -> dict[str, str]:
        """What boto3 and MLflow read."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def install() -> Path:
    """The `bin` of Swift's environment, made where there is none or the requirements have changed.

    Raises:
        subprocess.CalledProcessError: pip cannot install it.
    """
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = ENVIRONMENTS / f"swift-{digest}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", REQUIREMENTS], check=True)
        (folder / "complete").touch()
    return folder / "bin"


@contextlib.contextmanager
def swift_server(folder: Path) -> Iterator[S3Server]:
    """Starts Swift with its data, configuration and log in `folder` (an existing one), and stops it at the end.

    Raises:
        RuntimeError: it did not start; the end of its log is in the message.
    """
    bin_folder = install()
    ports: dict[str, int] = dict(zip(SERVERS, _free_ports(len(SERVERS)), strict=True))
    server = S3Server(f"http://127.0.0.1:{ports['proxy']}", "test:tester", secrets.token_hex(16), folder / "swift.log")
    _configure(folder, bin_folder, ports, server)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(server.log.open("ab"))
        processes = []
        for name in SERVERS:
            command = [bin_folder / "python", bin_folder / f"swift-{name}-server", folder / f"{name}.conf"]
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            processes.append(process)
            stack.callback(_stop, process)
        _wait_until_up(ports, processes, server.log)
        yield server


def _configure(folder: Path, bin_folder: Path, ports: dict[str, int], server: S3Server) -> None:
    """Writes the rings (one device, one replica) and the configuration of the four servers."""
    (folder / "devices" / "d1").mkdir(parents=True)
    for name in ("account", "container", "object"):
        ring = [bin_folder / "python", bin_folder / "swift-ring-builder", folder / f"{name}.builder"]
        device = f"r1z1-127.0.0.1:{ports[name]}/d1"
        for step in (["create", "2", "1", "0"], ["add", device, "1"], ["rebalance"]):
            subprocess.run([*ring, *step], check=True, capture_output=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
    common = (
        f"[DEFAULT]\nbind_ip = 127.0.0.1\nuser = {getpass.getuser()}\nswift_dir = {folder}\nworkers = 0\n"
        f"log_address = {folder}/no-syslog\n"
    )
    for name in ("account", "container", "object"):
        text = (
            f"{common}bind_port = {ports[name]}\ndevices = {folder}/devices\nmount_check = false\n"
            f"recon_cache_path = {folder}/recon\n"
            f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
        )
        (folder / f"{name}.conf").write_text(text)
    middleware = ["catch_errors", "gatekeeper", "healthcheck", "listing_formats", "bulk", "s3api", "tempauth", "copy"]
    middleware += ["slo", "dlo", "versioned_writes", "symlink"]
    account, user = server.key.split(":")
    settings = {
        "tempauth": f"user_{account}_{user} = {server.secret} .admin",
        "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true",
        "s3api": "location = us-east-1\ns3_acl = false",
    }
    filters = "".join(f"[filter:{one}]\nuse = egg:swift#{one}\n{settings.get(one, '')}\n" for one in middleware)
    (folder / "proxy.conf").write_text(
        f"{common}bind_port = {ports['proxy']}\n[pipeline:main]\npipeline = {' '.join(middleware)} proxy-server\n"
        f"[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n{filters}"
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_until_up(ports: dict[str, int], processes: list[subprocess.Popen], log: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    waiting = set(ports)
    while waiting:
        if time.monotonic() > until or any(process.poll() is not None for process in processes):
            raise RuntimeError(f"Swift did not start ({', '.join(sorted(waiting))}):\n{log.read_text()[-2000:]}")
        for name in sorted(waiting):
            with contextlib.suppress(OSError):
                if name == "proxy":
                    urllib.request.urlopen(f"http://127.0.0.1:{ports[name]}/healthcheck", timeout=5).close()
                else:
                    socket.create_connection(("127.0.0.1", ports[name]), timeout=5).close()
                waiting.discard(name)
        time.sleep(0.1)


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    os.umask(0o022)
    print(install())
