"""close_run: the exit handler; runs however the pipeline ended."""

from kfp import dsl
from kfp.dsl import PipelineTaskFinalStatus

from components.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def close_run(status: PipelineTaskFinalStatus, pipeline_run_id: str, tracking_uri: str):
    """Ends the parent run in MLflow as FINISHED, FAILED or KILLED, and tells the webhook, if there is one.

    Args:
        status: how the pipeline ended; filled in by kfp.
        pipeline_run_id: Kubeflow's id of this pipeline run, by which the parent run is found.
        tracking_uri: the MLflow that holds it.
    """
    from components.close_run.close_run import close_run as close_pipeline_run
    from components.close_run.close_run import tell
    from components.step import running
    from components.tracking.store import connect

    with running("close_run") as log:
        ending = close_pipeline_run(connect(tracking_uri), pipeline_run_id, status.state, status.error_message or "")
        tell(ending)
        log.info("%s", ending)
