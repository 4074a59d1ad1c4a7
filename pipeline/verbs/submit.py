"""`ferpipe submit`: the pipeline on a Kubeflow cluster, now or on a schedule."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.bad_input import BadInput
from pipeline.verbs.compile import config_option, csv_option, gpu_image_option, image_option, server_option, set_option
from pipeline.verbs.options import json_option
from pipeline.verbs.run import WithParameters

if TYPE_CHECKING:
    from pipeline.backend import Backend, Started

PIPELINE = "facial-expression"
CANCELED_STATUS = 3


@click.command(cls=WithParameters)
@csv_option
@config_option
@set_option
@click.option("--upload", metavar="S3-PREFIX", help="Put a CSV of this machine under s3://bucket/prefix first.")
@image_option
@gpu_image_option
@server_option
@click.option("--host", default="", envvar="KF_PIPELINES_ENDPOINT", help="Kubeflow's address; none inside the cluster.")
@click.option("--namespace", default="", help="Whose experiment and runs, where Kubeflow has many users.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a bearer token. Or set KFP_TOKEN; in a pod, the service account's token is found by itself.",
)
@click.option(
    "--cookies-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a session's cookies (Dex, oauth2-proxy), name=value. Or set KFP_COOKIES.",
)
@click.option(
    "--authorities",
    type=click.Path(exists=True, dir_okay=False),
    default=None,
    help="PEM file of the certificate authorities to trust.",
)
@click.option("--name", default="", help="Of the run, or of the schedule. Default: experiment, commit and time.")
@click.option("--cron", default="", metavar="'M H D M W'", help="Start runs by this schedule instead of now.")
@click.option("--no-cache", is_flag=True, help="Do ingest and balance again even if nothing they see has changed.")
@click.option("--wait", is_flag=True, help="Follow the run to its end; the exit status says how it ended.")
@click.option("--every", default=10.0, show_default=True, help="Seconds between two looks at a run that is followed.")
@json_option
@click.pass_context
def submit(
    ctx: click.Context,
    csv: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    upload: str | None,
    image: str,
    gpu_image: str,
    tracking_uri: str,
    host: str,
    namespace: str,
    token_file: Path | None,
    cookies_file: Path | None,
    authorities: str | None,
    name: str,
    cron: str,
    no_cache: bool,
    wait: bool,
    every: float,
    as_json: bool,
) -> None:
    """Run the pipeline on a Kubeflow cluster, now or on a schedule.

    Uploads a new version of the pipeline where the code or the cluster's settings differ, and prints the run's address.
    With --wait: status 0 when it succeeded, 1 when it failed, 3 when it was cancelled.

    \b
    ferpipe submit --host http://localhost:8080 --csv s3://faces/fer2013.csv.gz --config cluster.yaml \\
        --image registry.example/fer-pipeline:0123abc --tracking-uri http://mlflow.mlflow.svc:5000 --wait
    """
    from pipeline import kubeflow
    from pipeline.backend import Backend, Login, six_fields
    from pipeline.git import git_commit
    from pipeline.parameters import Parameters

    if cron and wait:
        raise click.UsageError("--cron starts runs later; leave --wait away")
    if cron:
        six_fields(cron)
    asked = kubeflow.read_asked(csv, config, assignments)
    images = kubeflow.immutable_images(image, gpu_image)
    kubeflow.check_tracking(tracking_uri)
    if upload:
        asked = kubeflow.with_uploaded_csv(asked, upload)
    kubeflow.check_reachable(asked.parameters.csv, asked.cluster)

    login = Login(
        host, namespace, _secret(token_file, "KFP_TOKEN"), _secret(cookies_file, "KFP_COOKIES"), authorities or ""
    )
    backend = Backend(login)
    if closed := kubeflow.close_orphans(tracking_uri, backend.outcome_of):
        click.echo(f"ended the MLflow runs of {closed} pipeline runs that were terminated", err=True)
    arguments = kubeflow.arguments(asked, tracking_uri)
    commit, experiment, account = git_commit(), asked.parameters.experiment, asked.cluster.service_account
    # A schedule is replaced by the next one of its name, so its name does not hold the time.
    name = name or experiment if cron else name or f"{experiment} {commit[:8]} {datetime.now():%Y-%m-%d %H:%M:%S}"
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{PIPELINE}.yaml"
        # The run's parameters travel with the run: the same code and cluster settings are the same version.
        kubeflow.compile_pipeline(replace(asked, parameters=Parameters()), images, tracking_uri, package, not no_cache)
        uploaded = backend.upload(package, PIPELINE, commit)
    if cron:
        started = backend.schedule(name, experiment, uploaded, arguments, cron, account)
    else:
        started = backend.start(name, experiment, uploaded, arguments, account)
    if not as_json:
        click.echo(f"{'schedule' if cron else 'run'} {name}, version {started.version}\n{started.address}")
    elif not wait:
        click.echo(json.dumps(asdict(started), indent=2))
    if wait:
        ctx.exit(_follow(backend, started, tracking_uri, every, as_json))


def _follow(backend: Backend, started: Started, tracking_uri: str, every: float, as_json: bool) -> int:
    """Follows the run to its end; returns the exit status."""
    from pipeline.kubeflow import close_orphan

    try:
        outcome = backend.follow(started.id, lambda line: click.echo(line, err=as_json), every)
    except KeyboardInterrupt:
        raise BadInput(f"no longer followed; the run goes on at {started.address}") from None
    if outcome.state != "SUCCEEDED":
        # A run that was terminated may never have run its exit handler.
        close_orphan(tracking_uri, started.id, outcome)
    if as_json:
        click.echo(json.dumps({**asdict(started), **asdict(outcome)}, indent=2))
    else:
        click.echo(
            f"{outcome.state.lower()}{': ' if outcome.why else ''}{outcome.why}", err=outcome.state != "SUCCEEDED"
        )
    return {"SUCCEEDED": 0, "CANCELED": CANCELED_STATUS}.get(outcome.state, 1)


def _secret(file: Path | None, variable: str) -> str:
    """A token or cookies: from a file or the environment, never from the command line, which other users can read."""
    return (file.read_text() if file else os.environ.get(variable, "")).strip()
