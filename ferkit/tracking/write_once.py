"""Write-once parameters: MLflow keeps the first value that a run's parameter gets, so of several writers one wins."""

from __future__ import annotations

import mlflow

from ferkit.store_errors import is_out_of_reach
from ferkit.tracking.patience import OF_THE_LAST_WORD, patience


def write_once(client: mlflow.MlflowClient, run_id: str, name: str, value: str) -> str:
    """Writes a parameter, unless another process has written it first; on SQLite and through a server alike.

    Args:
        client: of the MLflow that holds the run.
        run_id: of the run.
        name: of the parameter.
        value: at most 6,000 characters.

    Returns:
        The value that the parameter has now: `value` itself for the winner.

    Raises:
        MlflowException: it could be written neither at the first try nor at a second.
    """
    try:
        client.log_param(run_id, name, value)
    except mlflow.MlflowException as error:
        # Who loses is told so by an error; but a lost connection is one, too, and then the write may have arrived.
        with patience(OF_THE_LAST_WORD if is_out_of_reach(error) else {}):
            won = client.get_run(run_id).data.params.get(name)
            if won is not None:
                return won
            client.log_param(run_id, name, value)
    return value
