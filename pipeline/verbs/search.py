"""`ferpipe search`: the whole pipeline on this machine, with a search in place of candidates."""

from __future__ import annotations

from typing import Any

import click

from pipeline.verbs.run import WithParameters, run_options, start


@click.command(cls=WithParameters)
@run_options
def search(**options: Any) -> None:
    """Run a hyperparameter search on this machine: `run` with a search in place of candidates (docs/search.md).

    Trains one trial after the other, evaluates and registers the best of them, and logs to the parent run in MLflow
    the table of all trials, plots of the search, and its best trial as a config.

    \b
    ferpipe search                                   the drawn sample, configs/search.yaml
    ferpipe search --csv fer2013.csv --config configs/search-fer2013.yaml
    ferpipe search --set search.trials=12 --set 'search.space={architecture: lenet, dropout: [0.2, 0.3, 0.4]}'
    ferpipe search --resume RUN_ID                   the trials that are left
    """
    start(**options, searching=True)
