"""Which of the candidates are evaluated on test."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import mlflow

from ferkit.errors import UserError
from ferkit.tracking import names
from ferkit.tracking.candidates import state_of
from ferkit.tracking.names import State


def choose_finalists(client: mlflow.MlflowClient, run_ids: Sequence[str], log: logging.Logger) -> list[str]:
    """The run ids of all candidates that trained, in their order.

    Raises:
        UserError: none did; with the reason of each.
    """
    runs = [client.get_run(run_id) for run_id in run_ids]
    trained = [run for run in runs if state_of(run) in (State.TRAINED, State.EVALUATED)]
    if not trained:
        reasons = dict.fromkeys(run.data.tags.get(names.FAILURE, f"{run.info.run_name}: not trained") for run in runs)
        raise UserError(f"none of {len(runs)} candidates could be trained: {'; '.join(reasons)}")
    left_out = f"; {len(runs) - len(trained)} failed" if len(trained) < len(runs) else ""
    log.info("%d of %d candidates%s", len(trained), len(runs), left_out)
    return [run.info.run_id for run in trained]
