"""Candidates side by side, read from MLflow: a row each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.addresses import data_name
from ferkit.data import EMOTIONS
from ferkit.registry.state import read_state
from ferkit.registry.versions import Version
from ferkit.tracking import names
from ferkit.tracking.differing import differing_parameters
from ferkit.tracking.names import metric
from ferkit.tracking.ranking import order, validation_score
from ferkit.tracking.short_ids import SHOWN
from pipeline.candidates import own_versions, parents_of


@dataclass(frozen=True)
class Row:
    """A candidate in the table. Metrics are None where it has none, and those of test unless said otherwise.

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
        alias: `champion` or `challenger`, by the record of promotions, whatever the aliases say; or empty.
        failure: the sentence with which it failed.
        reused_from: id of the run whose model and training it has, where it was not trained itself; else empty.
        group: of candidates that differ in their seed alone, what they have in common; empty for a single one.
        pipeline_run: id of the pipeline run that it belongs to; empty for none.
        started: when that began; UTC, ISO 8601.
        data: a short name.
        data_digest: of the data set, balanced, that it was trained on; empty until that is known.
        test_digest: of the test faces (pixels and labels) that it was scored on; empty where none is kept.
        differs: parameters, beyond what names say, on which the candidates of the table disagree.
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
    reused_from: str
    group: str
    pipeline_run: str
    started: str
    data: str
    data_digest: str
    test_digest: str
    differs: Mapping[str, str]


def rows_of(client: mlflow.MlflowClient, run_ids: Iterable[str], model: str = "") -> list[Row]:
    """A row per run, best on validation first, those without scores last; seeds of one candidate stay together.

    Args:
        client: of the MLflow that holds them.
        run_ids: of the candidates; each counts once.
        model: the registered model whose version a row shows where a candidate has versions of several; empty for that
            of its own pipeline run.
    """
    runs = [client.get_run(run_id) for run_id in dict.fromkeys(run_ids)]
    parents = parents_of(client, runs)
    registered = own_versions(client, runs, parents, model)
    known = _Known(
        versions=registered,
        standings=_standings(client, {version.model for version in registered.values()}),
        parents=parents,
        differs=differing_parameters(runs),
    )
    return [_row(run, known) for run in order(runs)]


@dataclass(frozen=True)
class _Known:
    """What the rows of a table are made of, beside their own runs: by run id, standings by model and version."""

    versions: Mapping[str, Version]
    standings: Mapping[tuple[str, str], str]
    parents: Mapping[str, Run]
    differs: Mapping[str, Mapping[str, str]]


def _standings(client: mlflow.MlflowClient, models: Iterable[str]) -> dict[tuple[str, str], str]:
    """Which versions, by model and number, are champion and challenger."""
    states = {model: read_state(client, model) for model in models}
    return {
        (model, number): alias
        for model, state in states.items()
        for alias, number in ((names.CHALLENGER, state.challenger), (names.CHAMPION, state.champion))
        if number
    }


def notes_on(client: mlflow.MlflowClient, rows: Iterable[Row]) -> list[str]:
    """Where the registry does not agree with the record of promotions of a model that the rows are versions of."""
    models = sorted({row.model for row in rows if row.model})
    notes = {model: read_state(client, model).notes for model in models}
    return [f"{model}: {note}" if len(models) > 1 else note for model in models for note in notes[model]]


def _row(run: Run, known: _Known) -> Row:
    metrics, tags = run.data.metrics, run.data.tags
    recalls = {emotion: metrics[name] for emotion in EMOTIONS if (name := metric("test", "recall", emotion)) in metrics}
    support = {emotion: metrics.get(metric("test", "support", emotion), 1) for emotion in recalls}
    present = [emotion for emotion in recalls if support[emotion]]
    worst = min(present, key=lambda emotion: recalls[emotion], default="")
    version = known.versions.get(run.info.run_id)
    parent = known.parents.get(tags.get(MLFLOW_PARENT_RUN_ID, ""))
    return Row(
        name=run.info.run_name or run.info.run_id[:SHOWN],
        run_id=run.info.run_id,
        status=run.info.status,
        val_macro_f1=validation_score(run),
        accuracy=metrics.get(metric("test", "accuracy")),
        macro_f1=metrics.get(metric("test", "macro_f1")),
        worst_recall=recalls.get(worst),
        worst_emotion=worst,
        images_per_second=metrics.get("images_per_second"),
        model=version.model if version else "",
        version=version.number if version else "",
        verdict=version.tags.get(names.VALIDATION_STATUS, "") if version else "",
        alias=known.standings.get((version.model, version.number), "") if version else "",
        failure=tags.get(names.FAILURE, ""),
        reused_from=tags.get(names.REUSED_FROM, ""),
        group=tags.get(names.GROUP, ""),
        pipeline_run=parent.info.run_id if parent else "",
        started=start_of(parent or run),
        data=data_of(run, parent),
        data_digest=tags.get(names.DATA_DIGEST, ""),
        test_digest=_test_digest(run),
        differs=known.differs[run.info.run_id],
    )


def start_of(run: Run) -> str:
    """When a run began: UTC, ISO 8601."""
    return datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def data_of(run: Run, parent: Run | None = None) -> str:
    """A short name of a run's data; one of version 0.1 has it only as its pipeline run's parameter."""
    if name := run.data.tags.get(names.DATA_NAME):
        return name
    csv = (parent or run).data.params.get("csv", "")
    return data_name(csv) if csv else ""


def _test_digest(run: Run) -> str:
    """The digest of the test faces that `evaluate` logged as an input of a candidate's run; empty for none."""
    logged = [one.dataset for one in run.inputs.dataset_inputs] if run.inputs else []
    return next((dataset.digest for dataset in logged if dataset.name == "test"), "")


def by_shown_metric(rows: Iterable[Row]) -> tuple[str, list[Row]]:
    """The split whose macro-F1 a table shows, and the rows by it, the best first; those without it come last.

    Returns:
        `test`; `validation` where test was read for none of them.
    """
    rows = list(rows)
    if any(row.macro_f1 is not None for row in rows):
        return "test", sorted(rows, key=lambda row: (_last(row.macro_f1), _last(row.val_macro_f1)), reverse=True)
    return "validation", sorted(rows, key=lambda row: _last(row.val_macro_f1), reverse=True)


def _last(value: float | None) -> float:
    return -math.inf if value is None or math.isnan(value) else value
