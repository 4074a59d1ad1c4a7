"""`ferpipe compile`: the pipeline as a file for Kubeflow."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ferkit.addresses import split_address
from ferkit.errors import UserError
from pipeline.verbs.options import json_option
from pipeline.verbs.run import WithParameters


def check_server(_: click.Context, __: click.Parameter, value: str) -> str:
    """Checks that the address can be parsed; whether pods can reach it is checked later."""
    if value.lower().startswith(("http://", "https://")):
        try:
            split_address(value)
        except UserError as error:
            raise click.BadParameter(str(error)) from None
    return value


image_option = click.option(
    "--image",
    required=True,
    envvar="FERPIPE_IMAGE",
    metavar="ADDRESS",
    help="Image of the steps, by digest or by a commit's tag, as `make images` prints it.",
)
gpu_image_option = click.option(
    "--gpu-image",
    default="",
    metavar="ADDRESS",
    help="Image of training. Default: --image with -gpu behind its tag.",
)
server_option = click.option(
    "--tracking-uri",
    required=True,
    envvar="MLFLOW_TRACKING_URI",
    metavar="ADDRESS",
    callback=check_server,
    help="The MLflow server as the cluster's pods reach it: http(s)://host.",
)

csv_option = click.option(
    "--csv", metavar="CSV", help="The faces: s3://, gs:// or http(s)://, or `sample` (the default)."
)
config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML with any of the parameters below, and a `cluster` section (docs/kubeflow.md).",
)
set_option = click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="One parameter or cluster setting."
)


@click.command(cls=WithParameters)
@csv_option
@config_option
@set_option
@image_option
@gpu_image_option
@server_option
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("facial-expression.yaml"),
    show_default=True,
    help="The file to write.",
)
@json_option
def compile(
    csv: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    image: str,
    gpu_image: str,
    tracking_uri: str,
    out: Path,
    as_json: bool,
) -> None:
    """Write the pipeline as a file that any Kubeflow Pipelines 2 takes.

    The parameters set here are the file's defaults, so that a run started in Kubeflow's UI is the run that was
    compiled. Tags of images that may move (`latest`) are refused.

    \b
    ferpipe compile --image registry.example/fer-pipeline:0123abc --tracking-uri http://mlflow:5000
    """
    from pipeline import kubeflow

    run_config = kubeflow.read_run_config(csv, config, assignments)
    for sentence in run_config.outdated:
        warn(sentence)
    images = kubeflow.immutable_images(image, gpu_image)
    kubeflow.check_reachable(run_config.parameters.csv, run_config.cluster)
    kubeflow.check_tracking(tracking_uri)
    kubeflow.compile_pipeline(run_config, images, tracking_uri, out)
    if as_json:
        click.echo(json.dumps({"file": str(out), "image": images.cpu, "gpu_image": images.gpu}))
    else:
        click.echo(
            f"{out}: {out.stat().st_size / 1e3:.0f} kB. Upload it in Kubeflow's UI, or: ferpipe submit --image {image}"
        )


def warn(sentence: str) -> None:
    """Prints a warning on standard error: a setting that is ignored, or may surprise."""
    click.echo(f"Warning: {sentence}", err=True)
