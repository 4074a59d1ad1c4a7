"""Resuming an earlier pipeline run: its parameters, and whether it is still running elsewhere."""

from __future__ import annotations

import mlflow
from mlflow.artifacts import load_text

from ferkit.addresses import without_secrets
from ferkit.errors import UserError
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking.short_ids import refuse_deleted
from ferkit.tracking.store import check_answers, connect
from ferkit.yaml_input import read_yaml
from pipeline.parameters import Parameters


def parameters_of(tracking_uri: str, parent_run_id: str, csv: str | None = None) -> Parameters:
    """The parameters of an earlier pipeline run, to resume it.

    Args:
        tracking_uri: of the MLflow that has the run.
        parent_run_id: its parent run.
        csv: the CSV's whole address, where it holds a key or a query: the run keeps neither.

    Raises:
        UserError: there is no such run, it is in the trash, it is none of this pipeline's, or it read another CSV.
    """
    client = connect(tracking_uri)
    check_answers(client, tracking_uri)
    try:
        # Asked for first: what `load_text` says of a server that refuses is that there is no such file.
        refuse_deleted(client, client.get_run(parent_run_id))
        values = read_yaml(load_text(f"runs:/{parent_run_id}/parameters.yaml"), f"run {parent_run_id}")
    except mlflow.MlflowException as error:
        if is_out_of_reach(error):
            raise
        raise UserError(f"run {parent_run_id}: not a pipeline run of this MLflow ({error.message})") from None
    parameters = Parameters.parse(values)
    if csv and without_secrets(csv) != parameters.csv:
        raise UserError(f"--csv: run {parent_run_id} read {parameters.csv} (received {without_secrets(csv)})")
    return parameters.model_copy(update={"csv": csv}) if csv else parameters
