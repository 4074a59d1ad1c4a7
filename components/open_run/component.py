"""open_run: the first thing a pipeline run does in MLflow."""

from typing import Any

from kfp import dsl

from components.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def open_run(
    pipeline_run_id: str,
    csv: str,
    candidates: list,
    experiment: str,
    ingest: dict,
    balance: dict,
    train: dict,
    evaluate: dict,
    register: dict,
    source_version: str,
    code_version: str,
    git_commit: str,
    parent_run_id: str,
    tracking_uri: str,
) -> list[dict[str, Any]]:
    """Checks the candidates, opens the parent run in MLflow and gives the loop its items.

    Args:
        pipeline_run_id: Kubeflow's id of this pipeline run; on the parent run as tag `kfp.pipeline_run_id`.
        csv: the faces.
        candidates: what to train; every one is parsed before anything is made.
        experiment: MLflow experiment of a new parent run.
        ingest: parameters of ingest; with those below, logged to the parent run.
        balance: parameters of balance.
        train: parameters of train that hold for all candidates.
        evaluate: parameters of evaluate.
        register: parameters of register.
        source_version: which version of the CSV this is, as `locate` found it.
        code_version: digest of the code that the pipeline was made from; must be the code of this environment.
        git_commit: commit of that code.
        parent_run_id: an MLflow run to adopt as the parent; empty for a new one.
        tracking_uri: the MLflow to log to.

    Returns:
        One dict per candidate: its id, resolved parameters, name and tags, and the parent's run and experiment id.
    """
    from components.open_run.open_run import PipelineRun
    from components.open_run.open_run import open_run as open_pipeline_run
    from components.step import running
    from components.tracking.store import connect

    parameters = {
        "csv": csv,
        "candidates": candidates,
        "experiment": experiment,
        "ingest": ingest,
        "balance": balance,
        "train": train,
        "evaluate": evaluate,
        "register": register,
    }
    with running("open_run") as log:
        pipeline_run = PipelineRun(pipeline_run_id, parameters, source_version, code_version, git_commit, parent_run_id)
        items = open_pipeline_run(connect(tracking_uri), pipeline_run)
        names = ", ".join(item["name"] for item in items)
        log.info("MLflow run %s; candidates: %s", items[0]["parent_run_id"], names)
        return items
