"""Creates an account for a person or a service on this MLflow server, or changes the role of one that exists.

    docker compose -f images/compose.yaml exec mlflow python /opt/server/add_user.py ann trainer
    kubectl -n mlflow exec -it deploy/mlflow -- python /opt/server/add_user.py ann trainer

reader:   compares, reads the record of promotions, loads models. Every account may.
trainer:  also runs the pipeline: writes runs, registers versions.
promoter: also promotes and rolls back.

The password is asked for, or read from standard input. The administrator's is the server's own, from its environment.
"""

import argparse
import getpass
import os
import sys

import mlflow
from mlflow.server.auth.client import AuthServiceClient

# The administrator makes these, for who makes an experiment or a model may do everything with it.
EXPERIMENTS = MODELS = ("facial-expression", "facial-expression-sample")
ROLES = {
    "reader": {},
    "trainer": {"experiment": "EDIT", "registered_model": "EDIT"},
    "promoter": {"experiment": "EDIT", "registered_model": "MANAGE"},
}
WORKSPACE = "default"


def add_user(address: str, name: str, role: str, password: str) -> str:
    """Makes the account where there is none, and assigns the role, and no other of ours.

    Args:
        address: http://… of the server; the administrator's name and password are in MLFLOW_TRACKING_USERNAME and
            MLFLOW_TRACKING_PASSWORD.
        name: of the account.
        role: one of `ROLES`.
        password: at least 12 characters; not used where the account exists.

    Returns:
        What was done, a sentence.
    """
    make_experiments_and_models(address)
    users = AuthServiceClient(address)
    new = name not in {user.username for user in list_users(users)}
    if new:
        users.create_user(name, password)
    there = {one.name: one.id for one in users.list_roles(WORKSPACE)}
    for which, rights in ROLES.items():
        if rights and which not in there:
            made = users.create_role(WORKSPACE, which, f"fer-pipeline: {which}")
            there[which] = made.id
            for kind, right in rights.items():
                users.add_role_permission(made.id, kind, "*", right)
    held = {one.name for one in users.list_user_roles(name)}
    for other in (held & ROLES.keys()) - {role}:
        users.unassign_role(name, there[other])
    if ROLES[role] and role not in held:
        users.assign_role(name, there[role])
    return f"{name} is {role} now" + ("" if new else "; the account was there, its password stays")


def list_users(users: AuthServiceClient) -> list:
    """All accounts; MLflow's client has no call for it."""
    from mlflow.server.auth.entities import User
    from mlflow.server.auth.routes import LIST_USERS

    return [User.from_json(user) for user in users._request(LIST_USERS, "GET")["users"]]


def make_experiments_and_models(address: str) -> None:
    """Makes those that are not there."""
    client = mlflow.MlflowClient(address, address)
    for name in EXPERIMENTS:
        if client.get_experiment_by_name(name) is None:
            client.create_experiment(name)
    for name in MODELS:
        try:
            client.create_registered_model(name)
        except mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--server", default="http://127.0.0.1:5000", help="default: %(default)s")
    arguments = parser.parse_args()
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    os.environ["MLFLOW_TRACKING_USERNAME"] = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"]
    os.environ["MLFLOW_TRACKING_PASSWORD"] = os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
    try:
        print(add_user(arguments.server, arguments.name, arguments.role, password))
    except mlflow.MlflowException as error:
        sys.exit(f"add_user: {error}")


if __name__ == "__main__":
    main()
