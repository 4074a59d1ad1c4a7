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

from ferkit.errors import UserError
from ferkit.user_input import read_text
from pipeline.verbs.compile import (
    check_server,
    config_option,
    csv_option,
    gpu_image_option,
    image_option,
    server_option,
    set_option,
    warn,
)
from pipeline.verbs.options import json_option, note_option, tag_option
from pipeline.verbs.run import WithParameters

if TYPE_CHECKING:
    from pipeline.backend import Started
    from pipeline.watch import Watch

PIPELINE = "facial-expression"
CANCELED_STATUS = 3


@click.command(cls=WithParameters)
@csv_option
@config_option
@set_option
@click.option("--upload", metavar="S3-PREFIX", help="Upload a CSV of this machine to s3://bucket/prefix first.")
@image_option
@gpu_image_option
@server_option
@click.option(
    "--host",
    default="",
    envvar="KF_PIPELINES_ENDPOINT",
    callback=check_server,
    help="Kubeflow's address; none inside the cluster.",
)
@click.option(
    "--namespace", default="", help="Namespace of the experiment and its runs, where Kubeflow has many users."
)
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
@click.option(
    "--name",
    default="",
    help="Of the run in Kubeflow and in MLflow (default: experiment, commit and time; time and data), or of the "
    "schedule.",
)
@note_option
@tag_option
@click.option(
    "--cron", default="", metavar="'M H D M W'", help="Create a schedule of runs instead of starting one now."
)
@click.option(
    "--resume",
    metavar="RUN_ID",
    help="Resume this MLflow run, the parent of a pipeline run that failed or was terminated: with its parameters "
    "and its training state, and the same code. Of --config, the cluster section counts.",
)
@click.option("--no-cache", is_flag=True, help="Run ingest and balance even if their inputs have not changed.")
@click.option("--wait", is_flag=True, help="Follow the run to its end; the exit status says how it ended.")
@click.option("--every", default=10.0, show_default=True, help="Seconds between two polls of a run that is followed.")
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
    note: str,
    tags: tuple[str, ...],
    cron: str,
    resume: str | None,
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
    from ferkit.code_version import git_commit
    from ferkit.tracking.labels import Labels
    from ferkit.tracking.short_ids import whole_id
    from ferkit.tracking.store import connect
    from pipeline import kubeflow
    from pipeline.backend import Backend, Request, six_fields
    from pipeline.connection import Login
    from pipeline.orphans import close_orphans
    from pipeline.parameters import Parameters
    from pipeline.resubmit import check_resumable, read_resumed
    from pipeline.upload import with_uploaded_csv
    from pipeline.watch import Watch

    if cron and (wait or resume):
        raise click.UsageError(f"--cron starts runs later; leave {'--wait' if wait else '--resume'} away")
    if cron:
        six_fields(cron)
    if resume and (csv or upload):
        raise click.UsageError("--resume uses the run's own CSV; drop --csv and --upload")
    if resume and (note or tags):
        raise click.UsageError("--resume leaves a run as it is; drop --note and --tag")
    # A schedule starts many runs, whose names are to differ; and a resumed one has its name.
    labels = Labels.parse("" if cron or resume else name, note, tags)
    images = kubeflow.immutable_images(image, gpu_image)
    kubeflow.check_tracking(tracking_uri)
    if resume:
        if len(resume) < 32:
            resume = whole_id(connect(tracking_uri), resume)
        run_config = read_resumed(tracking_uri, resume, config, assignments)
    else:
        run_config = kubeflow.read_run_config(csv, config, assignments)
    for sentence in run_config.outdated:
        warn(sentence)
    if upload:
        run_config = with_uploaded_csv(run_config, upload)
    kubeflow.check_reachable(run_config.parameters.csv, run_config.cluster)

    login = Login(
        host, namespace, _secret(token_file, "KFP_TOKEN"), _secret(cookies_file, "KFP_COOKIES"), authorities or ""
    )
    backend = Backend(login, warn)
    watch = Watch(backend)
    commit, experiment = git_commit(), run_config.parameters.experiment
    if closed := close_orphans(tracking_uri, experiment, watch.outcome_of):
        click.echo(
            f"in MLflow, ended what {closed} ended pipeline run{'s' if closed > 1 else ''} had left open", err=True
        )
    if resume:
        check_resumable(tracking_uri, resume, watch)
        if not (run_config.cluster.state or run_config.cluster.state_prefix):
            warn("unfinished trainings start again: neither cluster.state nor cluster.state_prefix kept them")
    # A schedule is replaced by the next one of its name, so its name does not hold the time.
    name = name or experiment if cron else name or f"{experiment} {commit[:8]} {datetime.now():%Y-%m-%d %H:%M:%S}"
    arguments = kubeflow.arguments(run_config, tracking_uri, resume or "", labels)
    request = Request(name, experiment, arguments, run_config.cluster.service_account, adopts=bool(resume))
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{PIPELINE}.yaml"
        # The run's parameters travel with the run: the same code and cluster settings are the same version.
        kubeflow.compile_pipeline(
            replace(run_config, parameters=Parameters()), images, tracking_uri, package, not no_cache
        )
        uploaded = backend.upload(package, PIPELINE, commit)
    started = backend.schedule(request, uploaded, cron) if cron else backend.start(request, uploaded)
    if not as_json:
        click.echo(f"{'schedule' if cron else 'run'} {name}, version {started.version}\n{started.address}")
    elif not wait:
        click.echo(json.dumps(asdict(started), indent=2))
    if wait:
        ctx.exit(_follow(watch, started, experiment, tracking_uri, every, as_json))


def _follow(watch: Watch, started: Started, experiment: str, tracking_uri: str, every: float, as_json: bool) -> int:
    """Follows the run to its end; returns the exit status."""
    from pipeline.orphans import Candidates, close_orphan
    from pipeline.watch import Progress, follow

    progress = Progress(lambda line: click.echo(line, err=as_json), Candidates(tracking_uri))
    try:
        outcome = follow(watch, started.id, progress, every)
    except KeyboardInterrupt:
        raise UserError(f"no longer followed; the run goes on at {started.address}") from None
    if outcome.state != "SUCCEEDED":
        # A run that was terminated may never have run its exit handler, and none is told why a step failed.
        close_orphan(tracking_uri, experiment, started.id, outcome)
    if as_json:
        click.echo(json.dumps({**asdict(started), **asdict(outcome)}, indent=2))
    else:
        click.echo(
            f"{outcome.state.lower()}{': ' if outcome.why else ''}{outcome.why}", err=outcome.state != "SUCCEEDED"
        )
    return {"SUCCEEDED": 0, "CANCELED": CANCELED_STATUS}.get(outcome.state, 1)


def _secret(file: Path | None, variable: str) -> str:
    """A token or cookies: from a file or the environment, never from the command line, which other users can read."""
    return (read_text(file) if file else os.environ.get(variable, "")).strip()
