"""What tests in a browser and the pictures of docs share: how `ferpipe ui` is served, Chromium without its chatter."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType

from mlflow_server import running

QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)


def ferpipe_ui(
    tracking_uri: str, port: int, log: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> AbstractContextManager[str]:
    """`ferpipe ui` on a store; yields its address."""
    command = [sys.executable, "-m", "pipeline.cli", "ui", "--port", str(port), "--tracking-uri", tracking_uri]
    return running(command, port, log, environment)
