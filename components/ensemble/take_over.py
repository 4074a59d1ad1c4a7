"""An ensemble that an earlier pipeline run made of the same candidates, taken over like these."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import mlflow
from mlflow.entities import Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from components.ensemble.describe import as_markdown
from ferkit.data import Profile
from ferkit.tracking import names
from ferkit.tracking.reuse import find_origin, take_figures_and_model


def take_over(
    client: mlflow.MlflowClient, run: Run, members: Sequence[Run], profile: Profile, log: logging.Logger
) -> bool:
    """Takes it over, where all members were (`train.reuse`); else the same model would be registered twice.

    Args:
        client: of the MLflow that holds the runs.
        run: the ensemble's, with its settings.
        members: of it, the best first.
        profile: of their data set.
        log: for a line about it.

    Returns:
        Whether there was one.
    """
    if not all(names.REUSED_FROM in member.data.tags for member in members):
        return False
    origin = find_origin(client, run, profile.digest)
    if origin is None:
        return False
    run_id, made = run.info.run_id, origin.run.data.params
    shares = {name: made[name] for number in range(1, len(members) + 1) if (name := f"weight.{number}") in made}
    client.log_batch(run_id, params=[Param(name, share) for name, share in shares.items()])
    client.set_tag(run_id, MLFLOW_RUN_NOTE, as_markdown(members, [float(share) for share in shares.values()]))
    take_figures_and_model(client, run_id, origin)
    log.info("%s", f"{run.info.run_name}: taken over from {origin}")
    return True
