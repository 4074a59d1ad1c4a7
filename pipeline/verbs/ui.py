"""`ferpipe ui`: the MLflow UI."""

from __future__ import annotations

import os
import sys

import click

from pipeline.verbs.options import tracking_option


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@tracking_option
def ui(port: int, host: str, tracking_uri: str) -> None:
    """Open the MLflow UI on this machine's runs; Ctrl-C ends it.

    With a tracking server, its own address is printed instead: it has the UI.
    """
    from ferkit.tracking.store import prepare_store, sqlite_path

    path = sqlite_path(tracking_uri)
    if path is None:
        click.echo(f"The MLflow UI is at {tracking_uri}")
        return
    prepare_store(tracking_uri)
    click.echo(f"MLflow UI on http://{host}:{port} (Ctrl-C ends it)")
    sys.stdout.flush()
    # One worker and no job runners: half a gigabyte and four seconds instead of seven more processes.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", host, "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{path}",
        "--default-artifact-root",
        (path.parent / "mlruns").as_uri(),
    ]
    os.execv(sys.executable, command)
