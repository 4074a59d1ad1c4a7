"""Registers the candidates of a pipeline run, and asks the gate about the best of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from components.register.descriptions import tell, tell_unread
from components.register.groups import log_groups
from components.register.log_report import log_report
from components.register.verdicts import log_verdict, record_verdict
from ferkit.addresses import run_address
from ferkit.data import EMOTIONS, Profile, read_profile
from ferkit.errors import UserError
from ferkit.metrics.evaluation import read_candidate
from ferkit.registry import versions
from ferkit.registry.data import DATA_URI
from ferkit.registry.fingerprints import keep_training_faces
from ferkit.registry.gate import decide, decide_champion
from ferkit.registry.settings import Register
from ferkit.registry.state import reconcile
from ferkit.registry.verdict import NOT_GATED, TEST_UNREAD, Contender, Verdict
from ferkit.registry.versions import Version
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import state_of
from ferkit.tracking.markdown import escape
from ferkit.tracking.names import State, metric
from ferkit.tracking.ranking import order, validation_score
from ferkit.tracking.reuse import origin_of


@dataclass(frozen=True)
class Registration:
    """The outcome of registering: the verdict as JSON (empty for none), the report as HTML, a summary as Markdown."""

    verdict: str
    report: str
    summary: str


def register_run_tree(
    client: mlflow.MlflowClient,
    parent: Run,
    run_ids: Sequence[str],
    faces: str,
    data_uri: str,
    policy: Register,
    log: logging.Logger,
) -> Registration:
    """Registers the evaluated candidates of a pipeline run and gates the best; its parent gets verdict and report.

    Where test was left unread, nothing is registered, and description and report show validation.

    Args:
        client: as `connect` returns it.
        parent: the pipeline run.
        run_ids: its evaluated candidates.
        faces: data set folder.
        data_uri: where that folder lies for others: its artifact's address.
        policy: of the gate.
        log: for the verdict.
    """
    run_id = parent.info.run_id
    address = run_address(mlflow.get_tracking_uri(), parent.info.experiment_id, run_id)
    everyone = [run.info.run_id for run in order(tree.children(client, parent))]
    if not any(metric("test", "macro_f1") in client.get_run(one).data.metrics for one in run_ids):
        tell_unread(client, [read_candidate(client, one) for one in everyone], read_profile(Path(faces)), run_id)
        html = log_report(client, everyone, Path(faces), None, run_id)
        log_groups(client, everyone, run_id)
        client.set_tag(run_id, names.COMPLETED, "true")
        log.info("%s", TEST_UNREAD)
        return Registration("", html, f"{TEST_UNREAD}\n\n[in MLflow]({address})\n")
    model = versions.model_of(parent)
    verdict = register_candidates(client, run_ids, Path(faces), policy, run_id, data_uri, everyone, model)
    html = log_report(client, everyone, Path(faces), verdict, run_id)
    log_groups(client, everyone, run_id)
    client.set_tag(run_id, names.COMPLETED, "true")
    for note in verdict.notes:
        log.info("note: %s", note)
    log.info("%s", verdict)
    return Registration(json.dumps(verdict.to_dict()), html, as_markdown(verdict, address))


def as_markdown(verdict: Verdict, address: str) -> str:
    """The verdict, the candidates and where they are in MLflow, for Kubeflow's page of the run."""
    chosen = verdict.challenger
    lines = [f"## Version {chosen.version} ({escape(chosen.name)}): {verdict.status}", ""]
    lines += [f"- {escape(sentence)}" for sentence in (*verdict.reasons, *verdict.notes)]
    lines += ["", "| candidate | macro-F1, validation | version | verdict |", "| --- | ---: | --- | --- |"]
    for row in verdict.candidates:
        score = "" if row.val_macro_f1 is None else f"{row.val_macro_f1:.3f}"
        status = row.validation_status or "not registered"
        lines.append(f"| {escape(row.name)} | {score} | {row.version or ''} | {status.replace('_', ' ')} |")
    return "\n".join([*lines, "", f"[in MLflow]({address})", ""])


def register_candidates(
    client: mlflow.MlflowClient,
    run_ids: Sequence[str],
    faces: Path,
    policy: Register,
    parent_run_id: str = "",
    data_uri: str = "",
    everyone: Sequence[str] = (),
    model: str = names.REGISTERED_MODEL,
) -> Verdict:
    """Registers every evaluated candidate; the best on VALIDATION becomes the one that the gate judges on test.

    Candidates that differ in their seed alone are ranked by their mean, for which the member nearest it stands.

    Args:
        client: as `connect` returns it.
        run_ids: the candidates' runs; those that were not evaluated are passed over.
        faces: data set folder.
        policy: of the gate.
        parent_run_id: the pipeline run's; empty when there is none: then the verdict goes to the chosen one's run.
        data_uri: where the data set lies for others; empty for its folder.
        everyone: further candidates of the pipeline run, which are named in the verdict.
        model: the registered model that they become versions of.

    Raises:
        UserError: no candidate was evaluated.
    """
    candidates = [client.get_run(run_id) for run_id in dict.fromkeys([*run_ids, *everyone])]
    scored = [run for run in candidates[: len(dict.fromkeys(run_ids))] if is_evaluated(run)]
    if not scored:
        reasons = {run.data.tags.get(names.FAILURE, f"{run.info.run_name} was not evaluated") for run in candidates}
        raise UserError(f"none of {len(candidates)} candidates can be registered: {'; '.join(sorted(reasons))}")
    keep_training_faces(client, {_keeper(client, run) for run in scored}, faces)
    profile = read_profile(faces)
    registered = {
        run.info.run_id: versions.register_run(
            client,
            run,
            _tags(run, profile, data_uri or str(faces.absolute())),
            _describe(run),
            model,
        )
        for run in scored
    }
    chosen = order(scored)[0]
    best = registered[chosen.info.run_id]
    state = reconcile(client, model)
    # Registered again, after its best became champion: nothing to compare, and no verdict to take back.
    is_champion = best.number == state.champion
    verdict = (
        decide_champion(client, best, faces, policy) if is_champion else decide(client, best, state, faces, policy)
    )
    # Its version may be that of an earlier run, from which it was reused.
    challenger = replace(verdict.challenger, run_id=chosen.info.run_id, name=str(chosen.info.run_name))
    verdict = replace(verdict, challenger=challenger)
    verdict = replace(verdict, candidates=tuple(_row(client, run, registered, verdict) for run in order(candidates)))
    told = [read_candidate(client, row.run_id) for row in verdict.candidates]
    tell(client, verdict, registered, told, profile, parent_run_id)
    if is_champion:
        log_verdict(client, verdict, parent_run_id)
    else:
        record_verdict(client, best, verdict, parent_run_id)
    return verdict


def _keeper(client: mlflow.MlflowClient, run: Run) -> str:
    """The run that keeps what a candidate was trained on: the pipeline run in which it was trained."""
    trained = run if origin_of(run) == run.info.run_id else client.get_run(origin_of(run))
    return trained.data.tags.get(MLFLOW_PARENT_RUN_ID, trained.info.run_id)


def is_evaluated(run: Run) -> bool:
    """Whether a candidate was evaluated on test. A run of version 0.1 has no state; its metrics say so."""
    state = state_of(run)
    return (
        state in ("", State.EVALUATED)
        and validation_score(run) is not None
        and metric("test", "macro_f1") in run.data.metrics
    )


def _row(client: mlflow.MlflowClient, run: Run, versions: dict[str, Version], verdict: Verdict) -> Contender:
    version = versions.get(run.info.run_id)
    number = version.number if version else None
    if number == verdict.challenger.version:
        status = verdict.status
    else:
        status = version.tags.get(names.VALIDATION_STATUS, NOT_GATED) if version else None
    return Contender(run.info.run_id, str(run.info.run_name), number, status, validation_score(run))


def _tags(run: Run, profile: Profile, data_uri: str) -> dict[str, str]:
    """Tags of a new version: where it came from, and that the gate has not looked at it."""
    tags = {
        names.GIT_COMMIT: run.data.tags.get(names.GIT_COMMIT, ""),
        names.VALIDATION_STATUS: NOT_GATED,
        names.DATA_DIGEST: profile.digest,
        DATA_URI: data_uri,
    }
    return {name: value for name, value in tags.items() if value}


def _describe(run: Run) -> str:
    """What a person reads first in the registry: the run's name and its metrics on test."""
    metrics = run.data.metrics
    recalls = {emotion: metrics.get(metric("test", "recall", emotion)) for emotion in EMOTIONS}
    known = {emotion: recall for emotion, recall in recalls.items() if recall is not None}
    parts = [
        f"{label} {metrics[name]:.3f}"
        for label, name in (("accuracy", metric("test", "accuracy")), ("macro-F1", metric("test", "macro_f1")))
        if name in metrics
    ]
    if known:
        worst = min(known, key=lambda emotion: known[emotion])
        parts.append(f"worst recall {known[worst]:.3f} ({worst})")
    return f"{run.info.run_name}: on test, {', '.join(parts)}" if parts else str(run.info.run_name)
