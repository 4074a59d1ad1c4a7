"""`ferpipe clean`: removes files of local runs that are no longer needed."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import click

from pipeline.verbs.options import home_option, json_option, store_option


@click.command()
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Keep cached data sets that were used since, and files of runs and logs that are younger.",
)
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@home_option
@store_option
@json_option
def clean(older_than: float, dry_run: bool, home: Path, tracking_uri: str, as_json: bool) -> None:
    """Remove files of local runs in --home that are no longer needed.

    Removed: temporary files of killed runs; states of finished trainings; and, if old, cached data sets, the files
    that kfp keeps of each run, logs. Kept: everything in MLflow (runs, versions, the record of promotions; for its
    trash there is `mlflow gc`), the data sets on which versions were judged, the state of unfinished trainings.

    \b
    ferpipe clean --dry-run
    ferpipe clean --older-than 7
    """
    from ferkit.errors import UserError
    from ferkit.tracking.store import connect, sqlite_path
    from ferkit.user_input import shown
    from pipeline.clean import as_json as to_json
    from pipeline.clean import find_waste
    from pipeline.local import Home

    found = []
    if home.exists():
        store = sqlite_path(tracking_uri)
        if store is not None and not store.exists():  # an empty one would need nothing
            raise UserError(
                f"{shown(store)}: no such file, and the runs in it say what in {shown(home)} is needed; "
                "pass their store with --tracking-uri"
            )
        found = find_waste(connect(tracking_uri), Home(home), older_than * 24 * 3600)
    if not dry_run:
        for one in found:
            one.remove()
    if as_json:
        click.echo(to_json(found))
        return
    for kind, group in groupby(found, lambda one: one.kind):
        together = list(group)
        click.echo(f"{len(together):>6} {kind:<32} {sum(one.bytes for one in together) / 1e6:>10,.1f} MB")
        if dry_run:
            for one in together:
                click.echo(f"       {shown(one.path)}")
    would = "would go" if dry_run else "went"
    click.echo(f"{len(found):>6} {would + ', together':<32} {sum(one.bytes for one in found) / 1e6:>10,.1f} MB")
