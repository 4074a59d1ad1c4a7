"""open_run: the first thing a pipeline run does in MLflow."""

from typing import Any

from kfp import dsl

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def open_run(
    csv: str,
    candidates: list[dict[str, Any]],
    search: dict[str, Any],
    experiment: str,
    registered_model: str,
    recipe: str,
    ingest: dict[str, Any],
    balance: dict[str, Any],
    train: dict[str, Any],
    evaluate: dict[str, Any],
    ensemble: dict[str, Any],
    register: dict[str, Any],
    source_version: str,
    git_commit: str,
    parent_run_id: str,
    labels: dict[str, Any],
    pipeline_run_id: str,
    owner: str,
    tracking_uri: str,
    code_version: str,
) -> list[str]:
    """Checks the candidates, opens the parent run in MLflow and a nested run for each candidate, or trial of a search.

    Args:
        csv: the faces.
        candidates: what to train; every one is parsed before anything is made.
        search: parameters of a search, which takes the place of candidates; with an empty space there is none.
        experiment: MLflow experiment of a new parent run.
        registered_model: that the candidates become versions of; empty for the usual one.
        recipe: of training; empty for the one in `train`.
        ingest: parameters of ingest; with those below, logged to the parent run.
        balance: parameters of balance.
        train: parameters of train that hold for all candidates.
        evaluate: parameters of evaluate.
        ensemble: parameters of ensemble.
        register: parameters of register.
        source_version: which version of the CSV this is, as `locate` found it.
        git_commit: commit of the code that the pipeline was made from.
        parent_run_id: an MLflow run to adopt as the parent; empty for a new one.
        labels: what the person who started it says of it: name, note, tags; see ferkit/tracking/labels.py.
        pipeline_run_id: Kubeflow's id of this pipeline run; on the parent run as tag `kfp.pipeline_run_id`.
        owner: the command that runs this on its own machine; empty on Kubeflow, where the pipeline run owns itself.
        tracking_uri: the MLflow to log to.
        code_version: digest of this step's code, as the pipeline was made from it.

    Returns:
        The MLflow run id of each candidate: the loop's items. Everything else is found from there.
    """
    from components.open_run.open_run import PipelineRun
    from components.open_run.open_run import open_run as open_pipeline_run
    from ferkit.step import PARENT_MARK, step_context
    from ferkit.tracking import tree
    from ferkit.tracking.labels import Labels
    from ferkit.tracking.owner import Owner
    from ferkit.tracking.store import connect

    parameters = {
        "csv": csv,
        "candidates": candidates,
        "search": search,
        "experiment": experiment,
        "registered_model": registered_model,
        "recipe": recipe,
        "ingest": ingest,
        "balance": balance,
        "train": train,
        "evaluate": evaluate,
        "ensemble": ensemble,
        "register": register,
    }
    with step_context("open_run", code_version) as log:
        client = connect(tracking_uri)
        run_ids = open_pipeline_run(
            client,
            PipelineRun(
                pipeline_run_id=pipeline_run_id,
                owner=Owner.parse(owner, pipeline_run_id),
                parameters=parameters,
                source_version=source_version,
                git_commit=git_commit,
                parent_run_id=parent_run_id,
                labels=Labels.load(labels),
            ),
            log,
        )
        parent = tree.parent_of(client, run_ids[0])
        print(f"{PARENT_MARK}{parent.info.run_id}", flush=True)
        log.info("MLflow run %s (%s), %d candidates", parent.info.run_id, parent.info.run_name, len(run_ids))
        return run_ids
