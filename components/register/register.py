"""Registers the candidates of a pipeline run, and asks the gate about the best of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.entities import Run

from components.bad_input import BadInput
from components.faces import EMOTIONS, Profile, read_profile
from components.model.evaluation import read_candidate
from components.model.report import write_report
from components.register import registry
from components.register.judge import TEST_DIGEST, judge
from components.register.parameters import Register
from components.register.promotion import who
from components.register.registry import MODEL, PARENT_RUN, Version
from components.register.seen import KEPT_IN, keep_training_faces
from components.register.standing import Standing, settle
from components.register.verdict import NOT_GATED, REJECTED, Verdict
from components.tracking import names
from components.tracking.names import metric

REPORT: Final = "report.html"

DATA_FOLDER: Final = "data.folder"
"""Tag of a version: the data set folder it was judged on, for `ferpipe gate` on the same machine."""


def register_candidates(
    client: mlflow.MlflowClient, run_ids: Sequence[str], faces: Path, policy: Register, parent_run_id: str = ""
) -> Verdict:
    """Registers every scored candidate; the best on VALIDATION becomes the one that the gate judges on test.

    Args:
        client: as `connect` gives it.
        run_ids: the candidates' runs; those without scores (diverged) are passed over.
        faces: data set folder.
        policy: of the gate.
        parent_run_id: the pipeline run's; empty when there is none: then the verdict goes to the chosen one's run.

    Raises:
        BadInput: no candidate was scored.
    """
    candidates = [client.get_run(run_id) for run_id in dict.fromkeys(run_ids)]
    scored = [run for run in candidates if validation_score(run) is not None]
    if not scored:
        reasons = {run.data.tags.get(names.FAILURE, "no score on validation") for run in candidates}
        raise BadInput(f"none of {len(candidates)} candidates can be registered: {'; '.join(sorted(reasons))}")
    keeper = parent_run_id or scored[0].info.run_id
    keep_training_faces(client, keeper, faces)
    profile = read_profile(faces)
    versions = {
        run.info.run_id: registry.register_run(
            client, run.info.run_id, _tags(run, profile, faces, parent_run_id, keeper), _describe(run)
        )
        for run in scored
    }
    best = max(scored, key=_rank)
    verdict = judge(client, versions[best.info.run_id], settle(client), faces, policy)
    verdict = replace(verdict, candidates=tuple(_row(client, run, versions, verdict) for run in _by_rank(candidates)))
    record_verdict(client, verdict, parent_run_id)
    return verdict


def report_run(
    client: mlflow.MlflowClient, run_ids: Sequence[str], faces: Path, verdict: Verdict, parent_run_id: str = ""
) -> str:
    """The HTML report of a pipeline run, which is also logged to the parent run (else the chosen candidate's own)."""
    candidates = [read_candidate(client, run_id) for run_id in dict.fromkeys(run_ids)]
    html = write_report(candidates, verdict.to_dict(), read_profile(faces))
    client.log_text(parent_run_id or verdict.challenger.run_id, html, REPORT)
    return html


def gate_version(client: mlflow.MlflowClient, version: str, faces: Path | None, policy: Register) -> Verdict:
    """Judges a registered version against today's champion, whatever was said about it before.

    Args:
        client: as `connect` gives it.
        version: number, or an alias.
        faces: data set folder; None for the one that the version was registered with, if it still lies there.
        policy: of the gate.

    Raises:
        BadInput: no such version, it is the champion, it cannot be scored, or its data is not here.
    """
    standing = settle(client)
    chosen = registry.version_of(client, version)
    folder = faces or Path(chosen.tags.get(DATA_FOLDER, ""))
    if faces is None and not (folder / "profile.json").is_file():
        raise BadInput(
            f"the data that version {chosen.number} was registered with is not on this machine; give a data set "
            "folder (the output of ingest) with --data"
        )
    verdict = judge(client, chosen, standing, folder, policy)
    record_verdict(client, verdict, chosen.tags.get(PARENT_RUN, ""))
    return verdict


def record_verdict(client: mlflow.MlflowClient, verdict: Verdict, parent_run_id: str = "") -> Standing:
    """Writes a verdict to the version's tags, the alias `challenger`, and the parent run (else the candidate's own).

    A version is never left approved against a champion that it was not judged against: what takes an approval away is
    written first, what gives it last.
    """
    chosen = verdict.challenger
    numbers = {
        "gate.at": verdict.at,
        "gate.by": who(),
        "gate.macro_f1": f"{chosen.macro_f1:.4f}",
        "gate.macro_f1_difference": str(verdict.macro_f1 or ""),
        "gate.notes": "; ".join(verdict.notes),
        "gate.verdict": json.dumps(verdict.to_dict()),
        names.VALIDATION_REASONS: "; ".join(verdict.reasons),
        names.COMPARED_WITH: verdict.compared_with,
    }
    if not verdict.approved:
        registry.set_tags(client, chosen.version, {names.VALIDATION_STATUS: REJECTED})
    registry.set_tags(client, chosen.version, numbers)
    if verdict.approved:
        registry.set_tags(client, chosen.version, {names.VALIDATION_STATUS: verdict.status})
        client.set_registered_model_alias(MODEL, names.CHALLENGER, chosen.version)
    run_id = parent_run_id or chosen.run_id
    client.log_dict(run_id, verdict.to_dict(), f"gate/verdict-of-version-{chosen.version}.json")
    client.set_tag(run_id, "gate.verdict", str(verdict)[:5000])
    return settle(client)  # takes the alias of a challenger down that is none any more


def validation_score(run: Run) -> float | None:
    """Macro-F1 on validation, by which the challenger is picked; None for a run that was not scored.

    A training that diverged has figures of the epochs before, and is FAILED.
    """
    if run.info.status == "FAILED":
        return None
    score = run.data.metrics.get(metric("validation", "macro_f1"))
    return score if score is not None and math.isfinite(score) else None


def _rank(run: Run) -> tuple[float, float]:
    score = validation_score(run)
    return (-math.inf if score is None else score, run.data.metrics.get(metric("validation", "accuracy"), 0.0))


def _by_rank(candidates: Sequence[Run]) -> list[Run]:
    return sorted(candidates, key=_rank, reverse=True)


def _row(client: mlflow.MlflowClient, run: Run, versions: dict[str, Version], verdict: Verdict) -> dict[str, Any]:
    version = versions.get(run.info.run_id)
    number = version.number if version else None
    if number == verdict.challenger.version:
        status = verdict.status
    else:
        status = version.tags.get(names.VALIDATION_STATUS, NOT_GATED) if version else None
    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "version": number,
        "validation_status": status,
        "val_macro_f1": validation_score(run),
    }


def _tags(run: Run, profile: Profile, faces: Path, parent_run_id: str, keeper: str) -> dict[str, str]:
    """Tags of a new version: where it came from, and that the gate has not looked at it."""
    carried = (names.ARCHITECTURE, names.GIT_COMMIT, names.PIPELINE_RUN_ID, names.CANDIDATE_ID)
    tags = {name: run.data.tags.get(name, "") for name in carried} | {
        names.VALIDATION_STATUS: NOT_GATED,
        names.DATA_DIGEST: profile.digest,
        TEST_DIGEST: profile.splits["test"]["digest"],
        DATA_FOLDER: str(faces.absolute()),
        PARENT_RUN: parent_run_id,
        KEPT_IN: keeper,
    }
    return {name: value for name, value in tags.items() if value}


def _describe(run: Run) -> str:
    """What a person reads first in the registry: the run's name and its figures on test."""
    figures = run.data.metrics
    recalls = {emotion: figures.get(metric("test", "recall", emotion)) for emotion in EMOTIONS}
    known = {emotion: recall for emotion, recall in recalls.items() if recall is not None}
    parts = [
        f"{label} {figures[name]:.3f}"
        for label, name in (("accuracy", metric("test", "accuracy")), ("macro-F1", metric("test", "macro_f1")))
        if name in figures
    ]
    if known:
        worst = min(known, key=lambda emotion: known[emotion])
        parts.append(f"worst recall {known[worst]:.3f} ({worst})")
    return f"{run.info.run_name}: on test, {', '.join(parts)}" if parts else str(run.info.run_name)
