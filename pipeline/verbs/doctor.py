"""`ferpipe doctor`: what is missing on this machine, and how to install it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ferkit.user_input import shown
from pipeline.verbs.options import home_option, json_option, tracking_option

GIGABYTE = 1e9


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        what: its name.
        state: `good`, `optional` (only some commands need it) or `missing`.
        found: what is there.
        cure: what to do, where it is not good.
    """

    what: str
    state: str
    found: str
    cure: str = ""


def look_at_python() -> Finding:
    """Python 3.11 to 3.13."""
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding(
        "Python",
        "good" if good else "missing",
        platform.python_version(),
        "" if good else "install Python 3.11 to 3.13",
    )


def look_at_packages() -> Finding:
    """The packages whose versions have to fit each other."""
    missing = []
    for name in ("mlflow", "kfp", "kfp-kubernetes", "keras", "pyarrow", "scikit-learn", "boto3"):
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", "missing", f"not installed: {', '.join(missing)}", "make setup")
    return Finding("packages", "good", f"mlflow {version('mlflow')}, kfp {version('kfp')}, keras {version('keras')}")


def look_at_gpu() -> Finding:
    """A GPU that the driver answers for; training works without one, slower."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
        return Finding("GPU", "good", found.replace("\n", "; "))
    except (OSError, subprocess.SubprocessError):
        return Finding(
            "GPU", "optional", "none", "training runs on the CPU; on a GPU machine install requirements-gpu.lock"
        )


def look_at_memory() -> Finding:
    """Training on FER2013 peaks at about 3 GB."""
    import psutil

    available = psutil.virtual_memory().available / GIGABYTE
    good = available >= 3
    return Finding(
        "memory",
        "good" if good else "missing",
        f"{available:.1f} GB free",
        "" if good else "close something: 3 GB needed",
    )


def look_at_disk(home: Path) -> Finding:
    """A run on FER2013 leaves about 0.5 GB."""
    folder = next(parent for parent in (home.absolute(), *home.absolute().parents) if parent.exists())
    free = shutil.disk_usage(folder).free / GIGABYTE
    writable = os.access(folder, os.W_OK)
    good = free >= 2 and writable
    cure = "" if good else "use another folder with --home" if not writable else "make room: 2 GB needed"
    return Finding("disk", "good" if good else "missing", f"{free:.1f} GB free in {folder}", cure)


def look_at_mlflow(tracking_uri: str) -> Finding:
    """Whether MLflow answers there."""
    from ferkit.tracking.store import sqlite_path

    path = sqlite_path(tracking_uri)
    if path is not None:
        return Finding("MLflow", "good", f"{path}" if path.exists() else f"{path} (made by the first run)")
    import requests

    try:
        requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=5).raise_for_status()  # asks for no password
        return Finding("MLflow", "good", f"{tracking_uri} answers")
    except requests.RequestException as error:
        return Finding(
            "MLflow", "missing", f"{tracking_uri}: {type(error).__name__}", "start the server, or check the address"
        )


def look_at_docker() -> Finding:
    """A Docker engine, for `make images`."""
    try:
        subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=True)
        return Finding("Docker", "good", "engine answers")
    except (OSError, subprocess.SubprocessError):
        return Finding("Docker", "optional", "no engine", "only `make images` needs it: install Docker")


@click.command()
@tracking_option
@home_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, tracking_uri: str, home: Path, as_json: bool) -> None:
    """Check this machine, and print how to install what is missing. Ends with status 1 if a run would fail."""
    looks: list[Callable[[], Finding]] = [
        look_at_python,
        look_at_packages,
        look_at_memory,
        lambda: look_at_disk(home),
        lambda: look_at_mlflow(tracking_uri),
        look_at_gpu,
        look_at_docker,
    ]
    findings = [look() for look in looks]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table(box=None, show_header=False)
        marks = {"good": "[green]✓[/]", "optional": "[yellow]-[/]", "missing": "[red]✗[/]"}
        for finding in findings:
            found, cure = Text(shown(finding.found)), Text(shown(finding.cure))
            table.add_row(marks[finding.state], f"[bold]{finding.what}[/]", found, cure)
        Console().print(table)
    if any(finding.state == "missing" for finding in findings):
        ctx.exit(1)
