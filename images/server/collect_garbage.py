"""`mlflow gc` without its danger: what versions and the record of promotions need is taken out of the trash before.

    docker compose -f images/compose.yaml exec mlflow python /opt/server/collect_garbage.py --older-than 30d
    kubectl -n mlflow exec deploy/mlflow -- python /opt/server/collect_garbage.py --older-than 30d

`mlflow gc` removes for good, with their artifacts, ALL runs, experiments and logged models that were deleted: also the
run that a champion came from, and the one that records promotions. It asks no registry.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator

import mlflow
from mlflow.entities import ViewType

LEDGER = "ledger.run_id"
"""Tag of the experiment that names the run which records promotions."""

PARENT = "mlflow.parentRunId"


def needed_runs(client: mlflow.MlflowClient) -> Iterator[tuple[str, str]]:
    """Runs that must stay, and why: those of versions, the pipeline runs above them, the records of promotions."""
    for experiment in pages(client.search_experiments, view_type=ViewType.ALL):
        if LEDGER in experiment.tags:
            yield experiment.tags[LEDGER], "the record of promotions"
    for model in pages(client.search_registered_models):
        for version in pages(client.search_model_versions, filter_string=f"name = '{model.name}'"):
            if version.run_id:
                yield version.run_id, f"the run of {model.name} version {version.version}"
                if parent := parent_of(client, version.run_id):
                    yield parent, f"the pipeline run of {model.name} version {version.version}"


def pages(search, **arguments) -> Iterator:
    """Everything that a search finds."""
    token = None
    while True:
        page = search(page_token=token, **arguments)
        yield from page
        token = page.token
        if not token:
            return


def parent_of(client: mlflow.MlflowClient, run_id: str) -> str:
    """The run above; empty where there is none, or the run is gone for good."""
    try:
        return client.get_run(run_id).data.tags.get(PARENT, "")
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return ""


def take_out_of_trash(client: mlflow.MlflowClient) -> list[str]:
    """Restores what is needed; what that was, a sentence each."""
    for experiment in pages(client.search_experiments, view_type=ViewType.DELETED_ONLY):
        if LEDGER in experiment.tags:
            client.restore_experiment(experiment.experiment_id)
    restored = []
    for run_id, why in dict(needed_runs(client)).items():
        try:
            run = client.get_run(run_id)
        except mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            continue
        if client.get_experiment(run.info.experiment_id).lifecycle_stage == "deleted":
            client.restore_experiment(run.info.experiment_id)
            run = client.get_run(run_id)
        if run.info.lifecycle_stage == "deleted":
            client.restore_run(run_id)
            restored.append(f"restored {run_id}: {why}")
    return restored


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--older-than", required=True, metavar="30d", help="how long it has lain in the trash: 30d, 12h"
    )
    parser.add_argument("--server", default="http://127.0.0.1:5000", help="default: %(default)s")
    arguments = parser.parse_args()
    os.environ["MLFLOW_TRACKING_USERNAME"] = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"]
    os.environ["MLFLOW_TRACKING_PASSWORD"] = os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
    try:
        for sentence in take_out_of_trash(mlflow.MlflowClient(arguments.server, arguments.server)):
            print(sentence)
    except mlflow.MlflowException as error:
        sys.exit(f"collect_garbage: {error}; nothing was removed")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "gc",
        "--tracking-uri",
        arguments.server,
        "--older-than",
        arguments.older_than,
    ]
    command += ["--backend-store-uri", "postgresql+psycopg2://"]
    command += ["--artifacts-destination", os.environ["MLFLOW_ARTIFACTS_DESTINATION"]]
    sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
