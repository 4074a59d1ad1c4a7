"""`ferpipe export`: a model as one file for ONNX Runtime or LiteRT."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import click

from pipeline.verbs.notices import without_notices
from pipeline.verbs.options import json_option, store_option


@click.command()
@click.option("--format", "kind", type=click.Choice(["onnx", "litert"]), required=True, help="Format of the file.")
@click.option(
    "--model",
    default="champion",
    show_default=True,
    help="An alias, a version (of NAME: NAME@ALIAS, NAME/VERSION), a registered model, a run, or an address.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file to write. Default: facial-expression.onnx or facial-expression.tflite, here.",
)
@store_option
@json_option
def export(kind: str, model: str, output: Path | None, tracking_uri: str, as_json: bool) -> None:
    """Write a model as ONE file that runs without Python and TensorFlow: on ONNX Runtime, or on LiteRT (TFLite).

    It takes `faces`, uint8 (n, 48, 48, 1), and returns `probabilities`, float32 (n, 7). Before it is written, faces go
    through it and through the model: where a probability differs by more than 0.0001, nothing is written.

    \b
    pip install 'fer-pipeline[onnx]'      # or [litert]
    ferpipe export --format onnx
    ferpipe export --format litert --model 3 --output phone.tflite
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the converters are TensorFlow's, whatever trained the network
    from ferkit.data import EMOTIONS
    from ferkit.registry.model_addresses import address_of, version_at
    from ferkit.serving.export import FACES, FORMATS, PROBABILITIES, check_format, export_model
    from ferkit.serving.load import load_face_model
    from ferkit.tracking.store import connect

    target = output or Path(f"facial-expression{FORMATS[kind].suffix}")
    check_format(kind, target)
    client = connect(tracking_uri)
    address = address_of(client, model)
    version_at(client, address)  # what is not there has a sentence of its own
    with without_notices():
        written = export_model(load_face_model(address), kind, target)
    size = target.stat().st_size
    if as_json:
        ends = {"input": FACES, "output": PROBABILITIES, "emotions": EMOTIONS}
        click.echo(json.dumps({**dataclasses.asdict(written), "file": str(target), "bytes": size, **ends}, indent=2))
        return
    click.echo(f"{target}: {size / 1e6:.1f} MB, from {written.model}; probabilities within {written.difference:.1g}")
    click.echo(f"takes {FACES}, uint8 (n, {written.side}, {written.side}, 1), grey levels 0..255")
    click.echo(f"returns {PROBABILITIES}, float32 (n, {len(EMOTIONS)}): {', '.join(EMOTIONS)}")
