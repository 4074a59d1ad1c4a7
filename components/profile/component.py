"""profile: pictures and counts of the data, before and after balancing."""

from kfp import dsl
from kfp.dsl import Dataset, Input

from components import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def profile(
    faces: Input[Dataset],
    balanced: Input[Dataset],
    run_ids: list[str],
    pipeline_run_id: str,
    owner: str,
    tracking_uri: str,
    code_version: str,
):
    """Logs pictures and tables of the data to the parent run, under `profile/`.

    People look at their data before an hour of training, so training waits for it. It fails no run: what cannot be
    drawn is a warning, and a tag of the parent.

    Args:
        faces: data set folder of `ingest`.
        balanced: data set folder of `balance`.
        run_ids: MLflow run ids of the candidates, whose parent gets the profile.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        owner: the command that runs this on its own machine; empty on Kubeflow.
        tracking_uri: the MLflow to log to.
        code_version: digest of this step's code, as the pipeline was made from it.
    """
    from components.profile.log_profile import log_profile
    from ferkit.step import step_context
    from ferkit.tracking import tree
    from ferkit.tracking.owner import Owner
    from ferkit.tracking.store import connect

    with step_context("profile", code_version) as log:
        client = connect(tracking_uri)
        parent = tree.parent_of(client, run_ids[0])
        tree.enter(client, parent, Owner.parse(owner, pipeline_run_id))
        log_profile(client, parent.info.run_id, faces.path, balanced.path, log)
