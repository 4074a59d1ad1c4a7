"""Joins evaluated candidates into one model, in an MLflow run of its own: a candidate like any other."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.artifacts import load_text
from mlflow.entities import LoggedModelInput, Run
from mlflow.models import get_model_info

from components.ensemble.ensemble_run import log_weights, reuse_ensemble
from components.ensemble.parameters import Ensemble
from ferkit.data import EMOTIONS, Profile, read_profile, read_split
from ferkit.errors import UserError
from ferkit.metrics.classification import Scores
from ferkit.metrics.evaluation import FOLDER
from ferkit.metrics.mixture import cross_fit, fit_weights
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import active_run, candidates, names, tree
from ferkit.tracking.candidates import NewCandidate, open_ensemble, state_of
from ferkit.tracking.names import State
from ferkit.tracking.ranking import rank, validation_score
from ferkit.tracking.reuse import model_address

CARRIED = (
    names.PIPELINE_RUN_ID,
    names.GIT_COMMIT,
    names.CODE_VERSION,
    names.WEIGHTS_VERSION,
    names.DATA_VERSION,
    names.DATA_NAME,
    names.DATA_SHA256,
    names.DATA_DIGEST,
    names.PIPELINE_VERSION,
    names.IMAGE,
)
"""Tags of the best member that are the ensemble's too."""


def join_finalists(
    client: mlflow.MlflowClient,
    parent: Run,
    run_ids: Sequence[str],
    folder: Path,
    parameters: Ensemble,
    log: logging.Logger,
) -> str:
    """Makes one model of the best evaluated finalists on validation; skips, and logs it, if there are fewer than two.

    Args:
        client: of the MLflow that holds the runs.
        parent: the pipeline run.
        run_ids: of its evaluated finalists.
        folder: the data set.
        parameters: how many to join, and how.
        log: for the sentence.

    Returns:
        The ensemble's run id; empty for none.
    """
    if parameters.weights == "none":
        log.info("skipped: ensemble.weights is none")
        return ""
    runs = [client.get_run(run_id) for run_id in run_ids]
    scored = [run for run in runs if state_of(run) == State.EVALUATED and validation_score(run) is not None]
    if len(scored) < 2:
        log.info("skipped: an ensemble joins two finalists or more, and here is %d", len(scored))
        return ""
    members = sorted(scored, key=rank, reverse=True)[: parameters.members]
    return join(client, parent, members, folder, parameters.weights, log)


def join(
    client: mlflow.MlflowClient, parent: Run, members: Sequence[Run], folder: Path, weights: str, log: logging.Logger
) -> str:
    """Makes one model of the members, in a run under `parent`; a retried step finds what it made the first time.

    What is wrong with a member (its file does not load) ends the ensemble's run as FAILED, and nothing else.

    Args:
        client: of the MLflow that holds the runs.
        parent: the run to put it under.
        members: evaluated candidates, the best first.
        folder: the data set on which they were evaluated.
        weights: `equal` or `fitted`.
        log: for a line about it.

    Returns:
        The ensemble's run id.

    Raises:
        UserError: the members were trained on other data than the folder's; or something is out of reach.
    """
    profile = read_profile(folder)
    check_same_data(members, profile)
    run_id = open_ensemble(client, parent, _describe(parent, members, weights), _data_parameters(members[0]))
    run = client.get_run(run_id)
    if state_of(run) in (State.TRAINED, State.EVALUATED, State.FAILED):
        log.info("%s", f"{run.info.run_name}: {run.data.tags.get(names.FAILURE) or 'is already made'}")
        return run_id
    candidates.start(client, run_id)
    try:
        if not reuse_ensemble(client, run, members, profile, log):
            _join(client, run, members, folder, profile, weights, log)
    except Exception as error:
        if is_out_of_reach(error):
            raise
        candidates.fail_by(client, run_id, str(run.info.run_name), error, log)
        return run_id
    candidates.set_state(client, run_id, State.TRAINED)
    tree.close(client, run_id)
    return run_id


def check_same_data(members: Sequence[Run], profile: Profile) -> None:
    """Refuses to join models of different data: what one was trained on could be another's test.

    Raises:
        UserError: naming the first member of other data than the folder's.
    """
    for run in members:
        digest = run.data.tags.get(names.DATA_DIGEST, "")
        if digest != profile.digest:
            raise UserError(
                f"{run.info.run_name} (run {run.info.run_id}) was trained on other data (digest {digest[:12]}) than "
                f"this ensemble's (digest {profile.digest[:12]}); join models of the same data, balanced alike"
            )


def _data_parameters(member: Run) -> dict[str, str]:
    """What the data that all members have in common was made with: a column of the runs table shows it of each."""
    return {name: value for name, value in member.data.params.items() if name.startswith(("ingest.", "balance."))}


def _describe(parent: Run, members: Sequence[Run], weights: str) -> NewCandidate:
    """The ensemble as a candidate: its settings are its members and how they are weighted."""
    ids = [run.data.tags.get(names.CANDIDATE_ID, run.info.run_id) for run in members]
    settings: dict[str, Any] = {"architecture": names.ENSEMBLE, "weights": weights, "members": len(members)}
    settings |= {f"member.{number}": run.info.run_id for number, run in enumerate(members, 1)}
    best = members[0].data.tags
    return NewCandidate(
        candidate_id=hashlib.sha256(json.dumps([weights, *ids]).encode()).hexdigest()[:16],
        name=f"ensemble-of-{len(members)}-{weights}",
        architecture=names.ENSEMBLE,
        settings=settings,
        tags={name: best[name] for name in CARRIED if name in best} | {names.PARENT_NAME: str(parent.info.run_name)},
    )


def _join(
    client: mlflow.MlflowClient,
    run: Run,
    members: Sequence[Run],
    folder: Path,
    profile: Profile,
    weights: str,
    log: logging.Logger,
) -> None:
    run_id = run.info.run_id
    shares, cross_fitted = _weigh(members, weights)
    log_weights(client, run, members, [f"{share:.6g}" for share in shares])
    with active_run.writing_to(run_id):
        active_run.log_dataset(profile.address, "train", profile.splits["train"]["digest"], "training")
        if cross_fitted is not None:
            mlflow.log_metric(names.CROSS_FITTED, cross_fitted)
        mlflow.log_metric("parameters", _log_network(members, shares, folder))
    models = [get_model_info(model_address(member)).model_id for member in members]
    client.log_inputs(run_id, models=[LoggedModelInput(model_id) for model_id in models if model_id])
    said = ", ".join(f"{share:.2f} {member.info.run_name}" for share, member in zip(shares, members, strict=True))
    score = "" if cross_fitted is None else f"; macro-F1 on validation, cross-fitted, {cross_fitted:.3f}"
    log.info("%s", f"{run.info.run_name}: {said}{score}")


def _weigh(members: Sequence[Run], weights: str) -> tuple[list[float], float | None]:
    """The members' weights; and, of fitted ones, the cross-fitted macro-F1 on validation."""
    if weights == "equal":
        return [1 / len(members)] * len(members), None
    truth, probabilities = validation_answers(members)
    mixed = cross_fit(truth, probabilities)
    return fit_weights(truth, probabilities).tolist(), Scores(truth, mixed).metrics()["macro_f1"]


def validation_answers(members: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """What the members said about the validation faces when they were evaluated, from the tables that their runs keep.

    Returns:
        Labels 0..6 (n,), and probabilities float64 (members, n, 7).

    Raises:
        UserError: a member has no such table, or one of other faces.
    """
    label = {emotion: number for number, emotion in enumerate(EMOTIONS)}
    known: tuple[list[int], list[int]] | None = None
    probabilities = []
    for run in members:
        lines = sorted(_predictions(run), key=lambda line: int(line["row"]))
        faces = [int(line["row"]) for line in lines], [label[line["truth"]] for line in lines]
        if known is not None and faces != known:
            raise UserError(
                f"{run.info.run_name} was evaluated on other validation faces than {members[0].info.run_name}"
            )
        known = faces
        probabilities.append([[float(line[emotion]) for emotion in EMOTIONS] for line in lines])
    assert known is not None
    return np.array(known[1], np.int64), np.array(probabilities)


def _predictions(run: Run) -> list[Mapping[str, str]]:
    path = f"{FOLDER}/validation/predictions.csv"
    try:
        return list(csv.DictReader(io.StringIO(load_text(f"runs:/{run.info.run_id}/{path}"))))
    except mlflow.MlflowException as error:
        if is_out_of_reach(error):
            raise
        raise UserError(f"{run.info.run_name}: has no {path}; weights are fitted to evaluated candidates") from None


def _log_network(members: Sequence[Run], shares: Sequence[float], folder: Path) -> int:
    """Builds the network and logs it to the active run; how many parameters it has."""
    import keras

    from ferkit.networks.ensemble import average_networks
    from ferkit.serving.load import fetch_network
    from ferkit.serving.package import log_face_model

    validation = read_split(folder, "validation")
    with tempfile.TemporaryDirectory() as scratch:
        networks: list[Any] = []
        for number, run in enumerate(members):
            (place := Path(scratch) / str(number)).mkdir()
            file = fetch_network(model_address(run), place)
            networks.append(keras.saving.load_model(file, compile=False))
        network = average_networks(networks, shares)
        path = Path(scratch) / "network.keras"
        network.save(path)
        log_face_model(path, side=validation.side, example=validation.pixels[:1])
    return int(network.count_params())
