"""ensemble: the best finalists joined into one model."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def ensemble(
    run_ids: list[str],
    faces: Input[Dataset],
    parameters: dict[str, Any],
    pipeline_run_id: str,
    owner: str,
    tracking_uri: str,
    code_version: str,
) -> str:
    """Makes one model of the best finalists on validation, in an MLflow run of its own. Skips, and logs it, if there
    are fewer than two.

    Args:
        run_ids: MLflow run ids of the evaluated finalists; an empty one was not evaluated.
        faces: data set folder; the model's example is a face of validation.
        parameters: see components/ensemble/parameters.py.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        owner: the command that runs this on its own machine; empty on Kubeflow.
        tracking_uri: the MLflow that holds the runs.
        code_version: digest of this step's code, as the pipeline was made from it.

    Returns:
        The MLflow run id of the ensemble, a candidate like any other; empty for none.
    """
    from pathlib import Path

    from components.ensemble.ensemble import join_finalists
    from components.ensemble.parameters import Ensemble
    from ferkit.step import step_context
    from ferkit.tracking import tree
    from ferkit.tracking.owner import Owner
    from ferkit.tracking.store import connect

    with step_context("ensemble", code_version) as log:
        finalists = [run_id for run_id in run_ids if run_id]
        if not finalists:
            log.info("skipped: no finalist was evaluated")
            return ""
        client = connect(tracking_uri)
        parent = tree.parent_of(client, finalists[0])
        tree.enter(client, parent, Owner.parse(owner, pipeline_run_id))
        return join_finalists(client, parent, finalists, Path(faces.path), Ensemble.parse(parameters), log)
