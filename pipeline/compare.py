"""Candidates side by side, read from MLflow: the table that `ferpipe run` ends with and `ferpipe compare` prints."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

import mlflow
import numpy as np
from mlflow.artifacts import load_text
from mlflow.entities import Run
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferkit.data import EMOTIONS
from ferkit.errors import UserError
from ferkit.metrics.evaluation import FOLDER
from ferkit.metrics.intervals import joint_counts
from ferkit.metrics.paired import Difference, Differences, compare_on_same_rows
from ferkit.registry import versions
from ferkit.registry.state import read_state
from ferkit.tracking import names, tree
from ferkit.tracking.names import metric
from ferkit.tracking.ranking import order, validation_score
from ferkit.tracking.store import sqlite_path
from ferkit.user_input import inert

RUN_ID = re.compile("[0-9a-f]{7,32}")
"""A run's id or its beginning, as git takes them; no version has seven digits."""

RESAMPLES = 10_000
WIDE = 110
"""Columns of a terminal from which on a run's id is shown in full."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Row:
    """A candidate in the table. Figures are None where it has none; test figures unless said otherwise.

    Attributes:
        name: of its run.
        run_id: MLflow's.
        status: of the run: `FINISHED`, `FAILED`, `RUNNING`, ...
        val_macro_f1: macro-F1 on validation, which picks the challenger.
        accuracy: share of test faces called right.
        macro_f1: mean F1 of the seven classes.
        worst_recall: the smallest recall of a class.
        worst_emotion: that class.
        images_per_second: in training.
        model: the registered model that it is a version of; empty when it is none.
        version: in the registry; empty when it has none.
        verdict: `approved`, `rejected`, `not_gated`; empty without a version.
        alias: `champion`, `challenger`, or empty.
        failure: the sentence with which it failed.
        group: of candidates that differ in their seed alone, what they have in common; empty for a single one.
    """

    name: str
    run_id: str
    status: str
    val_macro_f1: float | None
    accuracy: float | None
    macro_f1: float | None
    worst_recall: float | None
    worst_emotion: str
    images_per_second: float | None
    model: str
    version: str
    verdict: str
    alias: str
    failure: str
    group: str


@dataclass(frozen=True)
class Against:
    """How a candidate differs from the one it is held against, on the same test rows, with 95% intervals.

    Attributes:
        name: of the other's run.
        run_id: of the other.
        rows: test rows that both were scored on.
        macro_f1: difference in macro-F1.
        accuracy: difference in accuracy.
        recall: differences in recall whose interval, simultaneous over the classes, lies on one side of 0.
    """

    name: str
    run_id: str
    rows: int
    macro_f1: Difference
    accuracy: Difference
    recall: dict[str, Difference]


def rows_of(client: mlflow.MlflowClient, run_ids: Iterable[str]) -> list[Row]:
    """A row per run, best on validation first, those without scores last; seeds of one candidate stay together."""
    versions, aliases = _registered(client)
    runs = [client.get_run(run_id) for run_id in dict.fromkeys(run_ids)]
    return [_row(run, versions, aliases) for run in order(runs)]


def _registered(client: mlflow.MlflowClient) -> tuple[dict[str, versions.Version], dict[tuple[str, str], str]]:
    """The lowest version of every run, and the alias of every version that has one."""
    found: dict[str, versions.Version] = {}
    named: dict[tuple[str, str], str] = {}
    for model in versions.our_models(client):
        found |= {version.run_id: version for version in versions.versions(client, model=model)}
        named |= {(model, number): alias for alias, number in versions.aliases(client, model).items()}
    return found, named


def _row(run: Run, versions: dict[str, versions.Version], aliases: dict[tuple[str, str], str]) -> Row:
    figures = run.data.metrics
    recalls = {emotion: figures[name] for emotion in EMOTIONS if (name := metric("test", "recall", emotion)) in figures}
    support = {emotion: figures.get(metric("test", "support", emotion), 1) for emotion in recalls}
    present = [emotion for emotion in recalls if support[emotion]]
    worst = min(present, key=lambda emotion: recalls[emotion], default="")
    version = versions.get(run.info.run_id)
    return Row(
        name=run.info.run_name or run.info.run_id[:8],
        run_id=run.info.run_id,
        status=run.info.status,
        val_macro_f1=validation_score(run),
        accuracy=figures.get(metric("test", "accuracy")),
        macro_f1=figures.get(metric("test", "macro_f1")),
        worst_recall=recalls.get(worst),
        worst_emotion=worst,
        images_per_second=figures.get("images_per_second"),
        model=version.model if version else "",
        version=version.number if version else "",
        verdict=version.tags.get(names.VALIDATION_STATUS, "") if version else "",
        alias=aliases.get((version.model, version.number), "") if version else "",
        failure=run.data.tags.get(names.FAILURE, ""),
        group=run.data.tags.get(names.GROUP, ""),
    )


def find_candidates(client: mlflow.MlflowClient, given: Sequence[str], last: int, model: str = "") -> list[str]:
    """Run ids of the candidates to compare.

    Args:
        client: of the MLflow that holds them.
        given: run ids of candidates or of pipeline runs, whole or their first 7 characters or more, or versions of the
            registered model (`7`, `champion`); empty for the candidates of the last pipeline runs.
        last: how many of those.
        model: the registered model that versions are of; empty for the only one of ours.

    Raises:
        UserError: something given is neither, or there are no runs.
    """
    if not given:
        return _of_last_runs(client, last)
    found: list[str] = []
    for name in given:
        if RUN_ID.fullmatch(name):
            found += _of_run(client, name)
        else:
            version = versions.version_of(client, name, versions.choose_model(client, model))
            if not version.run_id:
                raise UserError(f"version {version.number} was not registered from a run; give run ids")
            found.append(version.run_id)
    return list(dict.fromkeys(found))


def find_champion(client: mlflow.MlflowClient, run_ids: Sequence[str], model: str = "") -> str:
    """The run of today's champion; empty when there is none, or it has none.

    Args:
        client: of the MLflow that holds it.
        run_ids: the candidates that are compared.
        model: the registered model; empty for the one that those candidates are versions of, if it is one.
    """
    registered, _ = _registered(client)
    models = {registered[run_id].model for run_id in run_ids if run_id in registered}
    model = model or (models.pop() if len(models) == 1 else "")
    number = read_state(client, model).champion if model else None
    version = versions.find_version(client, number, model) if number else None
    return version.run_id if version else ""


def _of_run(client: mlflow.MlflowClient, beginning: str) -> list[str]:
    """The candidates of the one run whose id begins so; itself, if it is one."""
    found = client.search_runs(_experiments(client), f"attributes.run_id LIKE '{beginning}%'", max_results=2)
    if not found:
        raise UserError(f"{beginning}: no such run in this MLflow; `ferpipe compare` alone shows the last ones")
    if len(found) > 1:
        raise UserError(f"{beginning}: more than one run's id begins so; give more of it")
    return [child.info.run_id for child in tree.children(client, found[0])] or [found[0].info.run_id]


def _experiments(client: mlflow.MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments()]


def _of_last_runs(client: mlflow.MlflowClient, last: int) -> list[str]:
    parents = client.search_runs(
        _experiments(client),
        f"tags.`{names.RUN_KIND}` = 'pipeline'",
        order_by=["attributes.start_time DESC"],
        max_results=last,
    )
    found = [child.info.run_id for parent in parents for child in tree.children(client, parent)]
    if not found:
        raise UserError("there are no pipeline runs with candidates in this MLflow yet; start one with `ferpipe run`")
    return found


def hold_against(rows: Sequence[Row], reference: Row) -> dict[str, Against | str]:
    """Each row's differences from `reference`, by run id, from the predictions that the runs keep; no model is loaded.

    Returns:
        A sentence in place of the differences where there are none: not scored, or scored on other rows.
    """
    of_reference = _test_predictions(reference.run_id)
    found: dict[str, Against | str] = {}
    for row in rows:
        if row.run_id == reference.run_id:
            continue
        found[row.run_id] = _against(reference, of_reference, _test_predictions(row.run_id))
    return found


@dataclass(frozen=True)
class _Predictions:
    """Of a run on test: int32 (n,) rows of the source CSV, ascending, and labels 0..6 (n,)."""

    row: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


def _test_predictions(run_id: str) -> _Predictions | None:
    uri = f"runs:/{run_id}/{FOLDER}/test/predictions.csv"
    try:
        text = load_text(uri)
    except (mlflow.MlflowException, OSError):
        return None
    label = {emotion: number for number, emotion in enumerate(EMOTIONS)}
    lines = sorted((int(line["row"]), line["truth"], line["prediction"]) for line in csv.DictReader(io.StringIO(text)))
    return _Predictions(
        np.array([row for row, _, _ in lines], np.int32),
        np.array([label[truth] for _, truth, _ in lines], np.int64),
        np.array([label[prediction] for _, _, prediction in lines], np.int64),
    )


def _against(reference: Row, first: _Predictions | None, second: _Predictions | None) -> Against | str:
    if first is None or second is None:
        return "no predictions to compare"
    if not np.array_equal(first.row, second.row) or not np.array_equal(first.truth, second.truth):
        return "scored on other test rows"
    joint = joint_counts(first.truth, first.prediction, second.prediction)
    found: Differences = compare_on_same_rows(joint, RESAMPLES, 0, CONFIDENCE)
    discernible = {emotion: d for emotion, d in found.recall.items() if d.low > 0 or d.high < 0}
    return Against(reference.name, reference.run_id, len(first.row), found.macro_f1, found.accuracy, discernible)


def print_table(
    rows: Sequence[Row], console: Console, against: dict[str, Against | str] | None = None, reference: str = ""
) -> None:
    """Prints the candidates as a table; with `against`, their differences from the run `reference`, too."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("candidate", overflow="fold")
    for heading in ("accuracy", "macro-F1"):
        table.add_column(heading, justify="right")
    table.add_column("worst recall")
    table.add_column("images/s", justify="right")
    if against is not None:
        table.add_column("macro-F1, difference")
        table.add_column("what differs")
    table.add_column("version")
    table.add_column("run", no_wrap=True)
    for row in rows:
        cells = [escape(row.name), _figure(row.accuracy), _figure(row.macro_f1), _worst(row), _speed(row)]
        if against is not None:
            cells += _difference_cells(row, against, reference)
        table.add_row(*cells, _version(row), row.run_id if console.width >= WIDE else f"{row.run_id[:8]}…")
    console.print(table)
    for row in rows:
        if row.failure:
            console.print(f"[yellow]{escape(row.name)} failed: {escape(row.failure)}[/]", soft_wrap=True)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _worst(row: Row) -> str:
    return "-" if row.worst_recall is None else f"{row.worst_recall:.3f} {escape(str(row.worst_emotion))}"


def _speed(row: Row) -> str:
    return "-" if row.images_per_second is None else f"{row.images_per_second:,.0f}"


def _version(row: Row) -> str:
    if not row.version:
        return row.status.lower() if row.status != "FINISHED" else "-"
    colour = {"approved": "green", "rejected": "yellow"}.get(row.verdict, "dim")
    standing = escape(row.alias or row.verdict.replace("_", " "))
    return f"{row.version} [{colour}]{standing}[/]"


def _difference_cells(row: Row, against: dict[str, Against | str], reference: str) -> list[str]:
    if row.run_id == reference:
        return ["[dim]all others against this[/]", ""]
    found = against.get(row.run_id, "")
    if isinstance(found, str):
        return [f"[dim]{escape(found)}[/]", ""]
    difference = escape(str(found.macro_f1))  # the interval's brackets are no markup
    if found.macro_f1.low > 0:
        difference = f"[green]{difference}[/]"
    elif found.macro_f1.high < 0:
        difference = f"[red]{difference}[/]"
    recalls = sorted(found.recall.items(), key=lambda item: item[1].difference)
    return [difference, ", ".join(f"{emotion} {gained.difference:+.2f}" for emotion, gained in recalls) or "no class"]


def as_json(rows: Sequence[Row], against: dict[str, Against | str]) -> list[dict[str, Any]]:
    """The rows as JSON types, each with its differences under `against`: an object, a sentence, or null."""
    found = []
    for row in rows:
        difference = against.get(row.run_id)
        found.append(asdict(row) | {"against": asdict(difference) if isinstance(difference, Against) else difference})
    return found


def as_csv(rows: Sequence[Row], against: dict[str, Against | str]) -> str:
    """The rows as CSV with a header line; differences as three columns of macro-F1."""
    columns = [*Row.__dataclass_fields__, "macro_f1_difference", "macro_f1_low", "macro_f1_high", "against"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        line = {name: inert(value, "'") if isinstance(value, str) else value for name, value in asdict(row).items()}
        difference = against.get(row.run_id)
        if isinstance(difference, Against):
            ends = difference.macro_f1
            line |= {"macro_f1_difference": ends.difference, "macro_f1_low": ends.low, "macro_f1_high": ends.high}
            line["against"] = difference.run_id
        writer.writerow(line)
    return text.getvalue()


def comparison_address(tracking_uri: str, client: mlflow.MlflowClient, run_ids: Sequence[str]) -> str:
    """The same comparison in the MLflow UI: the server's, or where `ferpipe ui` serves a SQLite store."""
    base = "http://127.0.0.1:5000" if sqlite_path(tracking_uri) else tracking_uri.rstrip("/")
    experiments = list(dict.fromkeys(client.get_run(run_id).info.experiment_id for run_id in run_ids))
    return f"{base}/#/compare-runs?runs={_as_list(run_ids)}&experiments={_as_list(experiments)}"


def _as_list(values: Sequence[str]) -> str:
    return quote("[" + ",".join(f'"{value}"' for value in values) + "]", safe="")
