"""`ferpipe sample`: the synthetic data set, as a CSV in FER2013's form."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from pipeline.verbs.options import json_option


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT.csv")
@click.option(
    "--faces",
    type=click.IntRange(min=100),
    default=5000,
    show_default=True,
    help="Number of faces to draw; faulty and repeated rows are added, 15 for every 1,000.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the drawing: the same seed writes the same bytes.",
)
@click.option("--force", is_flag=True, help="Replace OUT.csv if there is one.")
@json_option
def sample(out: Path, faces: int, seed: int, force: bool, as_json: bool) -> None:
    """Draw a data set in FER2013's form: seven expressions, its class imbalance and, in small, its faults.

    No licence, no download, learnable in a minute on two cores.
    """
    import hashlib
    import json

    from ferkit.data.sample import draw_csv
    from ferkit.errors import UserError
    from ferkit.user_input import shown

    if out.exists() and not force:
        raise UserError(f"{shown(out)}: is there already; use another name, or --force to replace it")
    draw_csv(out, faces=faces, seed=seed)
    if as_json:
        digest = hashlib.sha256(out.read_bytes()).hexdigest()
        click.echo(json.dumps({"csv": str(out), "bytes": out.stat().st_size, "sha256": digest}))
    else:
        size = f"{out.stat().st_size / 1e6:.1f} MB"
        click.echo(f"{shown(out)}: {size}. Next: ferpipe run --csv {shlex.quote(shown(out))}")
