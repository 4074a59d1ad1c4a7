"""What an ensemble's run records of it: its weights and a description; or an equal one that is reused."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import mlflow
from mlflow.entities import Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ferkit.data import Profile
from ferkit.tracking import names
from ferkit.tracking.markdown import escape
from ferkit.tracking.reuse import find_origin, log_reused_training


def log_weights(client: mlflow.MlflowClient, run: Run, members: Sequence[Run], weights: Sequence[str]) -> None:
    """Logs each member's weight as the parameter `weight.<n>`, and the members with links to their runs as a note."""
    client.log_batch(
        run.info.run_id, params=[Param(f"weight.{number}", weight) for number, weight in enumerate(weights, 1)]
    )
    client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, as_markdown(members, [float(weight) for weight in weights]))


def as_markdown(members: Sequence[Run], weights: Sequence[float]) -> str:
    """The members with their weights and links to their runs."""
    lines = [
        "The weighted mean of these models' probabilities, as one network:",
        "",
        "| weight | member |",
        "| --- | --- |",
    ]
    for run, weight in zip(members, weights, strict=True):
        link = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        lines.append(f"| {weight:.3f} | [{escape(str(run.info.run_name))}]({link}) |")
    return "\n".join([*lines, ""])


def reuse_ensemble(
    client: mlflow.MlflowClient, run: Run, members: Sequence[Run], profile: Profile, log: logging.Logger
) -> bool:
    """Reuses an earlier ensemble where all members are reused (`train.reuse`): its model is not registered twice.

    Args:
        client: of the MLflow that holds the runs.
        run: the ensemble's, with its settings.
        members: of it, the best first.
        profile: of their data set.
        log: for a line about it.

    Returns:
        Whether there is an earlier one.
    """
    if not all(names.REUSED_FROM in member.data.tags for member in members):
        return False
    origin = find_origin(client, run, profile.digest)
    if origin is None:
        return False
    logged = origin.run.data.params
    log_weights(client, run, members, [logged[f"weight.{number}"] for number in range(1, len(members) + 1)])
    log_reused_training(client, run.info.run_id, origin)
    log.info("%s", f"{run.info.run_name}: reused from {origin}")
    return True
