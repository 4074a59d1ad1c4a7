"""Who may promote on an MLflow server with users (its plugin `basic-auth`).

MLflow has no right of that name. On a registered model, EDIT registers versions and may set any alias, MANAGE may also
delete one. `promote` and `rollback` ask for MANAGE: so those who register and those who promote can be told apart. They
ask BEFORE the ledger is written; otherwise it would name a champion whose alias nobody has moved.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import mlflow
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from ferkit.errors import UserError
from ferkit.tracking import names

CURRENT_USER: Final = "/api/2.0/mlflow/users/current"
PERMISSION: Final = "/api/3.0/mlflow/users/permissions/get"


def is_denied(error: mlflow.MlflowException) -> bool:
    """Whether a server with users refused, for want of a right."""
    return error.error_code == "PERMISSION_DENIED"


def check_may_promote(client: mlflow.MlflowClient, model: str = names.REGISTERED_MODEL) -> str:
    """Refuses who may not promote. A store without users (SQLite, a server without the plugin) lets everybody.

    Returns:
        The name under which the server knows this user; empty where it knows none.

    Raises:
        UserError: this server has users, and this one may not manage the registered model or write to the experiment
            that holds the record of promotions.
    """
    if not client.tracking_uri.startswith(("http://", "https://")):
        return ""
    user = _ask(client, CURRENT_USER)
    if user is None:
        return ""
    name = user["user"]["username"]
    if user["user"]["is_admin"]:
        return name
    experiment = client.get_experiment_by_name(names.EXPERIMENT)
    missing = []
    if _permission(client, name, "registered_model", model) != "MANAGE":
        missing.append(f"MANAGE on the registered model {model}")
    if experiment and _permission(client, name, "experiment", experiment.experiment_id) not in ("EDIT", "MANAGE"):
        missing.append(f"EDIT on the experiment {names.EXPERIMENT}")
    if missing:
        raise UserError(
            f"{name} may not promote on {client.tracking_uri}: that takes {' and '.join(missing)}; somebody who has "
            "that can promote, or an administrator of that MLflow can grant it (docs/mlflow.md)"
        )
    return name


def _permission(client: mlflow.MlflowClient, user: str, kind: str, which: str) -> str:
    """What the user may do, such as `READ`, `EDIT`, `MANAGE`; by the server's own check, roles and default included."""
    found = _ask(client, PERMISSION, username=user, resource_type=kind, resource_id=which)
    return found["permission"] if found else "MANAGE"


def _ask(client: mlflow.MlflowClient, endpoint: str, **parameters: str) -> dict[str, Any] | None:
    """The server's answer; None where it does not know the question, so has no users, or another plugin's.

    Raises:
        MlflowException: it answers with an error, which says nothing of rights.
    """
    credentials = get_default_host_creds(client.tracking_uri)
    answer = http_request(credentials, endpoint, "GET", params=parameters, raise_on_status=False)
    assert answer is not None  # it is for requests that are streamed
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return None
    verify_rest_response(answer, endpoint)
    try:
        return answer.json()
    except ValueError:  # the page of MLflow's UI
        return None
