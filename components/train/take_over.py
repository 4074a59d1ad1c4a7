"""A candidate that an earlier pipeline run trained and evaluated, taken over instead of trained again."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.entities import LoggedModelOutput, Metric, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ferkit.data import Profile
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import candidates, names, tree
from ferkit.tracking.markdown import escape
from ferkit.tracking.names import State
from ferkit.tracking.reuse import find_equal
from ferkit.tracking.short_ids import SHOWN

FOLDER: Final = "training"
"""Artifacts of a trained candidate's run: curves, activations, summary, history."""

NOT_TAKEN: Final = ("system/", *(names.metric(split, "") for split in ("validation", "test", "test_clean")))
"""Beginnings of metrics that are not taken over: the machine's, and those that `evaluate` measures anew."""

BATCH: Final = 1000
"""Metrics that MLflow takes at once, at most."""


def take_over(
    client: mlflow.MlflowClient, run: Run, settings: Mapping[str, Any], profile: Profile, log: logging.Logger
) -> bool:
    """Takes an equal candidate's model and figures of training over, where `train.reuse` asks for it and there is one.

    The run gets a row's worth of its own: figures by epoch, pictures, inputs, the tag `reused.from`, the other's model
    as its output. It is evaluated anew, for seconds, by the parameters of this pipeline run. Where it is not asked for,
    a trial of a search says that it could be; of other candidates `open_run` has said so.

    Args:
        client: of the MLflow that holds the run.
        run: of a candidate whose settings are known.
        settings: of the candidate, resolved.
        profile: of the data set that it is to be trained on.
        log: for a line about it.

    Returns:
        Whether the candidate needs no training any more.
    """
    asked = bool(settings.get("reuse"))
    if not asked and names.SEARCH_RUN not in run.data.tags:
        return False
    model = tree.parent_of(client, run.info.run_id).data.params.get(names.MODEL_PARAMETER, "")
    same = [one for one in find_equal(client, run, model) if one.data.tags.get(names.DATA_DIGEST) == profile.digest]
    found = next(((one, model_id) for one in same if (model_id := _model_of(client, one))), None)
    if found is None:
        return False
    source, model_id = found
    name, where = str(run.info.run_name), describe(source)
    if not asked:
        log.info("%s", f"{name}: was trained before, as {where}; train.reuse=true takes it over")
        return False
    candidates.start(client, run.info.run_id)
    try:
        _copy(client, run, source, model_id, profile)
    except Exception as error:
        if is_out_of_reach(error):
            raise
        candidates.fail_by(client, run.info.run_id, f"{name}: cannot be taken over from {where}", error, log)
        return True
    candidates.set_state(client, run.info.run_id, State.TRAINED)
    tree.close(client, run.info.run_id)
    log.info("%s", f"{name}: not trained again, but taken over from {where}")
    return True


def describe(source: Run) -> str:
    """A candidate of another pipeline run, for a sentence: its run, that pipeline run, its version where it has one."""
    tags = source.data.tags
    of = f" of {tags[names.PARENT_NAME]}" if names.PARENT_NAME in tags else ""
    version = f", version {tags[names.VERSION]}" if names.VERSION in tags else ""
    return f"run {source.info.run_id[:SHOWN]} ({source.info.run_name}{of}{version})"


def _model_of(client: mlflow.MlflowClient, source: Run) -> str:
    """The id of a run's logged model; empty where it, or what it consists of, was deleted."""
    logged = client.get_run(source.info.run_id).outputs
    if not logged or not logged.model_outputs:
        return ""
    model_id = logged.model_outputs[0].model_id
    try:
        return model_id if list_artifacts(artifact_uri=f"models:/{model_id}") else ""
    except mlflow.MlflowException as error:
        if is_out_of_reach(error):
            raise
        return ""


def _copy(client: mlflow.MlflowClient, run: Run, source: Run, model_id: str, profile: Profile) -> None:
    """Written once more, it is the same: metrics keep their time and step."""
    run_id, tags = run.info.run_id, source.data.tags
    taken = [name for name in source.data.metrics if not name.startswith(NOT_TAKEN)]
    points = [point for name in taken for point in client.get_metric_history(source.info.run_id, name)]
    metrics = [Metric(point.key, point.value, point.timestamp, point.step) for point in points]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])
    with tree.writing_to(run_id), tempfile.TemporaryDirectory() as scratch:
        for split, context in (("train", "training"), ("validation", "validation")):
            tree.log_dataset(profile.address, split, profile.splits[split]["digest"], context)
        if list_artifacts(run_id=source.info.run_id, artifact_path=FOLDER):
            kept = download_artifacts(run_id=source.info.run_id, artifact_path=FOLDER, dst_path=scratch)
            mlflow.log_artifacts(kept, FOLDER)
            if (curves := Path(kept) / "learning_curves.png").is_file():
                tree.log_picture(curves, "learning_curves")
    outputs = client.get_run(run_id).outputs
    if not outputs or not outputs.model_outputs:  # MLflow refuses a link that it has already
        client.log_outputs(run_id, [LoggedModelOutput(model_id, 0)])
    link = f"#/experiments/{source.info.experiment_id}/runs/{source.info.run_id}"
    said = f"Not trained again: its model is that of [{escape(str(source.info.run_name))}]({link}), an equal candidate."
    carried = (names.DATA_SHA256, names.DATA_DIGEST, "hardware", "precision")
    known = {name: tags[name] for name in carried if name in tags}
    told = known | {MLFLOW_RUN_NOTE: said, names.REUSED_FROM: source.info.run_id}
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in told.items()])
