"""close_run: the exit handler; runs however the pipeline ended."""

from kfp import dsl
from kfp.dsl import PipelineTaskFinalStatus

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def close_run(
    status: PipelineTaskFinalStatus,
    pipeline_run_id: str,
    owner: str,
    parent_run_id: str,
    experiment: str,
    tracking_uri: str,
):
    """Ends the parent run in MLflow as FINISHED, FAILED or KILLED, and tells the webhook, if there is one.

    Its code is not checked: whatever it is, the run has to be ended.

    Args:
        status: how the pipeline ended; filled in by kfp.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        owner: the command that runs this on its own machine; empty on Kubeflow.
        parent_run_id: the MLflow run that was to be adopted; empty for a new one, which is found by its owner.
        experiment: MLflow experiment of a new parent run.
        tracking_uri: the MLflow that holds it.
    """
    import os

    from components.close_run.close_run import SUCCEEDED, find_run, tell
    from components.close_run.close_run import close_run as close_pipeline_run
    from ferkit.step import last_words, step_context
    from ferkit.tracking.owner import Owner
    from ferkit.tracking.patience import OF_THE_LAST_WORD
    from ferkit.tracking.store import connect

    with step_context("close_run") as log:
        whose = Owner.parse(owner, pipeline_run_id)
        if whose.is_local and status.state not in SUCCEEDED:
            os.environ.update(OF_THE_LAST_WORD)  # perhaps for want of MLflow; the command that waits tries once more
        client = connect(tracking_uri)
        parent = find_run(client, whose, parent_run_id, experiment)
        reason = last_words() or status.error_message or ""
        ending = close_pipeline_run(client, parent, whose, status.state, reason)
        tell(ending)
        log.info("%s", ending.status_of_run if whose.is_local else ending)  # there, the step's own line says why
