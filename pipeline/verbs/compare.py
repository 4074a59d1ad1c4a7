"""`ferpipe compare`: candidates in a table, with intervals."""

from __future__ import annotations

import json
import sys

import click

from pipeline.verbs.options import json_option, model_option, store_option


@click.command()
@click.argument("runs", nargs=-1)
@click.option(
    "--last", type=click.IntRange(min=1), default=5, show_default=True, help="Number of pipeline runs, without RUNS."
)
@click.option("--against", metavar="RUN", help="Run or version to compare all others with. Default: the champion.")
@click.option("--csv", "as_table", is_flag=True, help="Print CSV.")
@click.option("--open", "address_only", is_flag=True, help="Print the address of this comparison in the MLflow UI.")
@model_option
@store_option
@json_option
def compare(
    runs: tuple[str, ...],
    last: int,
    against: str | None,
    as_table: bool,
    address_only: bool,
    model: str,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Print candidates as a table: metrics on test, and how each differs from the champion.

    RUNS are ids of pipeline runs or of candidates (their first 7 characters will do), or versions (`7`, `champion`).
    Without them: the candidates of the last finished pipeline runs that have one with a score. The best come first, by
    macro-F1 on test; on validation where test was read for none of them.

    Differences are of the very same test rows, with 95% intervals from a paired bootstrap; classes are named where the
    interval of the difference in recall lies on one side of 0. They are compared with the champion; without one, with
    the best on validation. Who is champion the record of promotions decides; an alias that differs is reported.
    Parameters are shown where candidates differ and their names do not show it.

    \b
    ferpipe compare                                  the last runs
    ferpipe compare 1f2e3d4c 5a6b7c8d --csv
    ferpipe compare champion 7 --against champion
    """
    from rich.console import Console

    from ferkit.errors import UserError
    from ferkit.tracking.store import connect
    from pipeline.candidates import find_candidates, find_champion, find_last_candidates
    from pipeline.compare import by_shown_metric, notes_on, rows_of
    from pipeline.comparison_table import as_csv, comparison_address, print_comparison
    from pipeline.comparison_table import as_json as to_json
    from pipeline.differences import hold_against
    from pipeline.groups import groups_of, print_groups

    if as_table + as_json + address_only > 1:
        raise click.UsageError("--json, --csv and --open exclude each other")
    client = connect(tracking_uri)
    passed_over = ""
    if runs:
        run_ids = find_candidates(client, runs, model)
    else:
        found = find_last_candidates(client, last)
        run_ids, passed_over = found.run_ids, str(found)
    if address_only:
        click.echo(comparison_address(tracking_uri, client, run_ids))
        return
    if against:
        (reference_id, *others) = find_candidates(client, [against], model)
        if others:
            raise UserError(f"--against {against}: a pipeline run of {len(others) + 1} candidates; name one of them")
    else:
        reference_id = find_champion(client, run_ids, model)
    best_first = rows_of(client, [*run_ids, *([reference_id] if reference_id else [])], model)
    reference = next((row for row in best_first if row.run_id == reference_id), best_first[0])
    _, rows = by_shown_metric(best_first)
    differences = hold_against(client, rows, reference)
    for sentence in [*([passed_over] if passed_over else []), *notes_on(client, rows)]:
        click.echo(f"note: {sentence}", err=True)
    if as_json:
        click.echo(json.dumps(to_json(rows, differences), indent=2))
    elif as_table:
        click.echo(as_csv(rows, differences), nl=False)
    else:
        console = Console(width=None if sys.stdout.isatty() else 200)
        print_comparison(rows, console, differences, reference.run_id)
        print_groups(groups_of(client, [row.run_id for row in rows]), console)
