"""A candidate that an earlier pipeline run trained and evaluated: reused, not trained again."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ferkit.data import Profile
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import active_run, candidates, names, tree
from ferkit.tracking.markdown import escape
from ferkit.tracking.names import State
from ferkit.tracking.reuse import Origin, find_origin, log_reused_training

FOLDER: Final = "training"
"""Artifacts of a trained candidate's run: curves, activations, summary, history."""


def reuse_candidate(
    client: mlflow.MlflowClient, run: Run, settings: Mapping[str, Any], profile: Profile, log: logging.Logger
) -> bool:
    """Reuses an equal candidate's model and training metrics, where `train.reuse` is set and there is one.

    The run is complete by itself: metrics by epoch, pictures, inputs, the tag `reused.from`, the other's model as its
    output. It is evaluated again, in seconds, by the parameters of this pipeline run. Where `train.reuse` is off, a
    trial of a search logs that it could be reused; `open_run` has logged so for other candidates.

    Args:
        client: of the MLflow that holds the run.
        run: of a candidate whose settings are known.
        settings: of the candidate, resolved.
        profile: of the data set that it is to be trained on.
        log: for a line about it.

    Returns:
        Whether the candidate needs no training any more.
    """
    enabled = bool(settings.get("reuse"))
    if not enabled and names.SEARCH_RUN not in run.data.tags:
        return False
    origin = find_origin(client, run, profile.digest)
    if origin is None:
        return False
    run_id, name = run.info.run_id, str(run.info.run_name)
    if not enabled:
        log.info("%s", f"{name}: was trained before, as {origin}; train.reuse=true reuses it")
        return False
    candidates.start(client, run_id)
    try:
        _copy(client, run_id, origin, profile)
    except Exception as error:
        if is_out_of_reach(error):
            raise
        candidates.fail_by(client, run_id, f"{name}: cannot be reused from {origin}", error, log)
        return True
    candidates.set_state(client, run_id, State.TRAINED)
    tree.close(client, run_id)
    log.info("%s", f"{name}: not trained again, but reused from {origin}")
    return True


def _copy(client: mlflow.MlflowClient, run_id: str, origin: Origin, profile: Profile) -> None:
    source = origin.run.info
    with active_run.writing_to(run_id), tempfile.TemporaryDirectory() as scratch:
        for split, context in (("train", "training"), ("validation", "validation")):
            active_run.log_dataset(profile.address, split, profile.splits[split]["digest"], context)
        if list_artifacts(run_id=source.run_id, artifact_path=FOLDER):
            kept = download_artifacts(run_id=source.run_id, artifact_path=FOLDER, dst_path=scratch)
            mlflow.log_artifacts(kept, FOLDER)
            if (curves := Path(kept) / "learning_curves.png").is_file():
                active_run.log_picture(curves, "learning_curves")
    link = f"#/experiments/{source.experiment_id}/runs/{source.run_id}"
    said = f"Not trained again: its model is that of [{escape(str(source.run_name))}]({link}), an equal candidate."
    client.set_tag(run_id, MLFLOW_RUN_NOTE, said)
    log_reused_training(client, run_id, origin)
