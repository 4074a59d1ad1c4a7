"""What a person reads in MLflow on a pipeline run's page, on a version's and on the registered model's: Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

import mlflow
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ferkit.addresses import run_address, version_address
from ferkit.data import Profile
from ferkit.metrics.evaluation import CandidateRun, SplitScores
from ferkit.registry.verdict import NO_CHAMPION, NOT_GATED, TEST_UNREAD, Verdict
from ferkit.registry.versions import Version
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import log_scores
from ferkit.tracking.markdown import cut_rows, escape
from ferkit.tracking.store import LONGEST_TAG

TABLE: Final = (("validation", "macro_f1"), ("test", "macro_f1"), ("test", "accuracy"))
"""Metrics of a candidate in a pipeline run's description."""

TABLE_HEAD: Final = (
    "| candidate | macro-F1, validation | macro-F1, test | accuracy, test | version |",
    "| --- | --- | --- | --- | ---: |",
)

LONGEST: Final = 5_000
"""Characters of a description: the column of a version holds no more."""


def tell(
    client: mlflow.MlflowClient,
    verdict: Verdict,
    registered: Mapping[str, Version],
    candidates: Sequence[CandidateRun],
    data: Profile,
    parent: str,
) -> None:
    """Says in MLflow what came out: on the versions, on their runs' rows, and on the pipeline run.

    Args:
        client: of the MLflow that holds them.
        verdict: of the gate.
        registered: the versions of the pipeline run, by the run that each came from.
        candidates: of the pipeline run, best on validation first.
        data: what they were scored on.
        parent: id of the pipeline run; empty for none.
    """
    tracking_uri = mlflow.get_tracking_uri()
    best = next(one for one in candidates if one.run_id == verdict.challenger.run_id)
    name = name_of_data(best, data)
    for one in candidates:
        if (version := registered.get(one.run_id)) is None:
            continue
        own = verdict if one is best else None
        if own or version.run_id == one.run_id:  # else an earlier run's version, described by that
            said = describe_version(one, data, name, own, parent, tracking_uri)
            client.update_model_version(version.model, version.number, description=said)
        tree.set_tags(client, one.run_id, standing(version, own, best.name))
    if not parent:
        return
    note = client.get_run(parent).data.tags.get(names.NOTE, "")
    tags = standing(registered[best.run_id], verdict) | {
        names.BEST_CANDIDATE: best.name,
        MLFLOW_RUN_NOTE: describe_pipeline_run(verdict, candidates, data, name, tracking_uri, note),
    }
    tree.set_tags(client, parent, tags)
    log_scores(client, parent, best.metrics)


def tell_unread(client: mlflow.MlflowClient, candidates: Sequence[CandidateRun], data: Profile, parent: str) -> None:
    """Says on a pipeline run that left test unread what came out on validation; the metrics of its best become its own.

    Args:
        client: of the MLflow that holds it.
        candidates: of the pipeline run, best on validation first.
        data: what they were scored on.
        parent: id of the pipeline run.
    """
    tracking_uri = mlflow.get_tracking_uri()
    best = next(one for one in candidates if one.evaluation)
    note = client.get_run(parent).data.tags.get(names.NOTE, "")
    head = [note, ""] if note else []
    head += [
        f"**not gated**: {TEST_UNREAD}",
        "",
        f"On {data.splits['validation']['rows']:,} validation faces of {escape(name_of_data(best, data))} (digest "
        f"{data.digest[:12]}). Report: artifact `report.html`.",
        "",
        "| candidate | macro-F1, validation | accuracy, validation |",
        "| --- | --- | --- |",
    ]
    rows = [_row(one, (("validation", "macro_f1"), ("validation", "accuracy")), tracking_uri) for one in candidates]
    ungated = {names.VERDICT: NOT_GATED, names.VERDICT_REASONS: TEST_UNREAD}
    for one in candidates:
        if one.evaluation:
            tree.set_tags(client, one.run_id, ungated)
    tags = {
        names.GATE_VERDICT: TEST_UNREAD,
        names.BEST_CANDIDATE: best.name,
        MLFLOW_RUN_NOTE: cut_rows(head, [f"{row} |" for row in rows], LONGEST),
    }
    tree.set_tags(client, parent, ungated | tags)
    log_scores(client, parent, best.metrics)


def standing(version: Version, verdict: Verdict | None, judged: str = "") -> dict[str, str]:
    """What a row of the runs table shows of a version: its number, what the gate said of it, and why.

    Args:
        version: that a run became.
        verdict: the gate's on it; None where it judged another one.
        judged: the name of that one.
    """
    if verdict is not None:
        status, why = verdict.status, verdict.why
    else:
        status, why = version.tags.get(names.VALIDATION_STATUS, NOT_GATED), version.tags.get(names.VALIDATION_REASONS)
        why = why or f"not judged: of its pipeline run, {judged} is the best on validation"
    told = {names.VERSION: f"{version.model}/{version.number}", names.VERDICT: status, names.VERDICT_REASONS: why}
    return {name: value[:LONGEST_TAG] for name, value in told.items()}


def name_of_data(candidate: CandidateRun, data: Profile) -> str:
    """A short name for the data that a candidate was scored on."""
    return candidate.tags.get(names.DATA_NAME) or PurePosixPath(data.address).name


def describe_pipeline_run(
    verdict: Verdict,
    candidates: Sequence[CandidateRun],
    data: Profile,
    data_name: str,
    tracking_uri: str,
    note: str = "",
) -> str:
    """The note of whoever started it, the verdict, the evaluated candidates with their intervals, the data, and links.

    Args:
        verdict: of the gate.
        candidates: of the pipeline run, best on validation first.
        data: what they were scored on.
        data_name: a short name for it.
        tracking_uri: of the MLflow that shows this.
        note: of whoever started the pipeline run, as Markdown.
    """
    head = [*_told_of(verdict, data, data_name, tracking_uri, note), "Report: artifact `report.html`.", "", *TABLE_HEAD]
    numbers = {row.run_id: row.version for row in verdict.candidates}
    rows = [f"{_row(one, TABLE, tracking_uri)} | {numbers.get(one.run_id) or ''} |" for one in candidates]
    return cut_rows(head, rows, LONGEST)


def describe_again(
    described: str, verdict: Verdict, data: Profile, data_name: str, tracking_uri: str, note: str = ""
) -> str:
    """A pipeline run's description once its best was judged again: the later verdict, and the table that was there.

    Args:
        described: the description; one without that table, which somebody wrote, follows whole.
        verdict: the later one; the others as of `describe_pipeline_run`.
    """
    lines = described.splitlines()
    table = lines[lines.index(TABLE_HEAD[0]) :] if TABLE_HEAD[0] in lines else lines
    told = _told_of(verdict, data, data_name, tracking_uri, note)
    told += [f"Judged again by `ferpipe gate` at {verdict.at}; `report.html` has the verdict before.", ""]
    return cut_rows(told, table, LONGEST)


def _told_of(verdict: Verdict, data: Profile, data_name: str, tracking_uri: str, note: str) -> list[str]:
    """Lines: the note, the verdict with its reasons, and what was compared on which data."""
    chosen = verdict.challenger
    version = _version_link(verdict.model, chosen.version, tracking_uri)
    against = {NO_CHAMPION: "no champion yet", chosen.version: "nothing, for it is the champion"}
    lines = [note, ""] if note else []
    lines += [f"**{verdict.status}**: {version}, {escape(chosen.name)}", ""]
    lines += [f"- {escape(sentence)}" for sentence in (*verdict.reasons, *verdict.notes)]
    return [
        *lines,
        "",
        f"Compared with: {against.get(verdict.compared_with, f'champion, version {verdict.compared_with}')}, on "
        f"{verdict.rows:,} test faces of {escape(data_name)} (digest {data.digest[:12]}). Every number behind the "
        "verdict: artifacts `gate/`.",
    ]


def describe_version(
    candidate: CandidateRun, data: Profile, data_name: str, verdict: Verdict | None, parent: str, tracking_uri: str
) -> str:
    """A version's metrics, its data, what the gate said, and links to its run and its pipeline run.

    Args:
        candidate: that it came from.
        data: what it was scored on.
        data_name: a short name for it.
        verdict: the gate's on this version; None where it judged another one.
        parent: id of the pipeline run; empty for none.
        tracking_uri: of the MLflow that shows this.
    """
    lines = [f"**{escape(candidate.name)}**"]
    if candidate.evaluation is not None:
        lines[0] += f": on test, {_figures(candidate.evaluation.scores)}"
    run_id = candidate.tags.get(names.REUSED_FROM, candidate.run_id)
    links = [f"[its run]({run_address(tracking_uri, candidate.experiment_id, run_id)})"]
    if parent:
        links.append(f"[pipeline run]({run_address(tracking_uri, candidate.experiment_id, parent)})")
    lines += ["", f"Data: {escape(data_name)} (digest {data.digest[:12]}). {', '.join(links)}", ""]
    if verdict is None:
        lines.append("**not gated**: the gate judges the best of a run on validation, and this is another one")
    else:
        lines += [f"**{verdict.status}**", ""]
        lines += [f"- {escape(sentence)}" for sentence in (*verdict.reasons, *verdict.notes)]
    return cut_rows([], lines, LONGEST)


def _row(candidate: CandidateRun, metrics: Sequence[tuple[str, str]], tracking_uri: str) -> str:
    """A candidate's name and these metrics, (split, name) each; of one that was not evaluated, why not. Left open."""
    name = f"[{escape(candidate.name)}]({run_address(tracking_uri, candidate.experiment_id, candidate.run_id)})"
    found = candidate.evaluation
    if found is None:
        cells = [escape(candidate.why_not_evaluated), *[""] * (len(metrics) - 1)]
    else:
        cells = [_cell(found.splits[split], metric) if split in found.splits else "" for split, metric in metrics]
    return f"| {name} | {' | '.join(cells)}"


def _cell(scores: SplitScores, name: str) -> str:
    ends = scores.intervals[name]
    return f"{scores.metrics[name]:.3f} \\[{ends.low:.3f}, {ends.high:.3f}\\]"


def _figures(scores: SplitScores) -> str:
    said = f"macro-F1 {_cell(scores, 'macro_f1')}, accuracy {_cell(scores, 'accuracy')}"
    return f"{said}, worst class's recall {scores.metrics['worst_recall']:.3f}"


def _version_link(model: str, version: str, tracking_uri: str) -> str:
    return f"[{escape(model)} version {version}]({version_address(tracking_uri, model, version)})"
