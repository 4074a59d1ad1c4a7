"""Verdicts on registered versions: computed by the gate, and logged where people look."""

from __future__ import annotations

from pathlib import Path

import mlflow
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from components.register.descriptions import describe_again, describe_version, name_of_data, standing
from ferkit.data import Profile, read_profile
from ferkit.metrics.evaluation import read_candidate
from ferkit.registry import versions
from ferkit.registry.data import data_of
from ferkit.registry.gate import decide
from ferkit.registry.origins import pipeline_run_of
from ferkit.registry.promotion import who
from ferkit.registry.settings import Register
from ferkit.registry.state import RegistryState, reconcile
from ferkit.registry.verdict import REJECTED, Verdict
from ferkit.registry.versions import Version
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import names, tree
from ferkit.tracking.store import LONGEST_TAG


def gate_version(
    client: mlflow.MlflowClient,
    version: str,
    faces: Path | None,
    policy: Register,
    model: str = names.REGISTERED_MODEL,
) -> Verdict:
    """Judges a registered version against today's champion, whatever was said about it before.

    Args:
        client: as `connect` returns it.
        version: number, or an alias.
        faces: data set folder; None for the one that the version was registered with, from where its artifact lies.
        policy: of the gate.
        model: the registered model that it is a version of.

    Raises:
        UserError: no such version, it is the champion, it cannot be scored, or its data is not here.
    """
    state = reconcile(client, model)
    chosen = versions.version_of(client, version, model)
    with data_of(chosen, faces) as folder:
        verdict = decide(client, chosen, state, folder, policy)
        _tell_anew(client, chosen, verdict, read_profile(folder))
    record_verdict(client, chosen, verdict, pipeline_run_of(client, chosen))
    return verdict


def _tell_anew(client: mlflow.MlflowClient, version: Version, verdict: Verdict, data: Profile) -> None:
    """Puts a later verdict into a version's description, and into the rows of its run and of the pipeline run whose
    best it was; a version whose run is not here keeps the description it has.
    """
    try:
        candidate = read_candidate(client, version.run_id)
    except mlflow.MlflowException as error:
        if is_out_of_reach(error):
            raise
        return
    parent = pipeline_run_of(client, version)
    name = name_of_data(candidate, data)
    said = describe_version(candidate, data, name, verdict, parent, mlflow.get_tracking_uri())
    client.update_model_version(version.model, version.number, description=said)
    told = standing(version, verdict)
    tree.set_tags(client, version.run_id, told)
    tags = client.get_run(parent).data.tags if parent else {}
    if tags.get(names.VERSION) == told[names.VERSION]:
        described, note = tags.get(MLFLOW_RUN_NOTE, ""), tags.get(names.NOTE, "")
        told[MLFLOW_RUN_NOTE] = describe_again(described, verdict, data, name, mlflow.get_tracking_uri(), note)
        tree.set_tags(client, parent, told)


def record_verdict(
    client: mlflow.MlflowClient, version: Version, verdict: Verdict, parent_run_id: str = ""
) -> RegistryState:
    """Writes a verdict to the version's tags, the alias `challenger`, and the parent run (else the candidate's own).

    A version is never left approved against a champion that it was not judged against: what takes an approval away is
    written first, what grants it last.
    """
    told = {names.VALIDATION_REASONS: verdict.why[:LONGEST_TAG], names.COMPARED_WITH: verdict.compared_with}
    if not verdict.approved:
        versions.set_tags(client, version, {names.VALIDATION_STATUS: REJECTED})
    versions.set_tags(client, version, told)
    if verdict.approved:
        versions.set_tags(client, version, {names.VALIDATION_STATUS: verdict.status})
        client.set_registered_model_alias(version.model, names.CHALLENGER, version.number)
    log_verdict(client, verdict, parent_run_id)
    return reconcile(client, version.model)  # takes the alias of a challenger down that is none any more


def log_verdict(client: mlflow.MlflowClient, verdict: Verdict, parent_run_id: str = "") -> None:
    """Writes a verdict, with every number behind it, to the parent run, else to the candidate's own.

    A parent run's tag `gate.verdict` is of its best; one on another of its versions is an artifact alone.
    """
    run_id = parent_run_id or verdict.challenger.run_id
    client.log_dict(
        run_id, verdict.to_dict() | {"by": who()}, f"gate/verdict-of-version-{verdict.challenger.version}.json"
    )
    judged = f"{verdict.model}/{verdict.challenger.version}"
    if client.get_run(run_id).data.tags.get(names.VERSION, judged) == judged:
        client.set_tag(run_id, names.GATE_VERDICT, str(verdict)[:LONGEST_TAG])
