"""ensemble: the finalists joined into one model."""

from kfp import dsl

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def ensemble(run_ids: list[str], pipeline_run_id: str, owner: str, tracking_uri: str, code_version: str) -> str:
    """Skips, and says so: joining finalists into one model is not built yet.

    Args:
        run_ids: MLflow run ids of the evaluated finalists; an empty one was not evaluated.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        owner: the command that runs this on its own machine; empty on Kubeflow.
        tracking_uri: the MLflow that holds the runs.
        code_version: digest of this step's code, as the pipeline was made from it.

    Returns:
        The MLflow run id of the ensemble, a candidate like any other; empty for none.
    """
    from ferkit.step import step_context

    with step_context("ensemble", code_version) as log:
        log.info("skipped: each finalist stands for itself")
        return ""
