"""train: a candidate's network, fitted to the balanced faces, on a GPU where there is one."""

from kfp import dsl
from kfp.dsl import Dataset, Input

from components import GPU_IMAGE


@dsl.component(base_image=GPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def train(
    run_id: str,
    faces: Input[Dataset],
    state_dir: str,
    pipeline_run_id: str,
    owner: str,
    tracking_uri: str,
    code_version: str,
) -> str:
    """Trains one candidate and logs its model, metrics and pictures to its own MLflow run.

    Goes on where it was when it is retried. A candidate that fails for a reason of its own ends its run as FAILED; the
    step succeeds, and `finalists` leaves it out.

    Args:
        run_id: the candidate's MLflow run, which `open_run` made: settings and parent are found from it.
        faces: the balanced data set; train is fitted, validation chooses the epoch, test is not read.
        state_dir: folder or s3:// prefix for the state of the training; empty for none.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        owner: the command that runs this on its own machine; empty on Kubeflow.
        tracking_uri: the MLflow to log to.
        code_version: digest of this step's code, as the pipeline was made from it.

    Returns:
        The MLflow run id of the candidate.
    """
    from pathlib import Path

    from components.train.train import train_candidate
    from ferkit.step import step_context
    from ferkit.tracking import tree
    from ferkit.tracking.owner import Owner
    from ferkit.tracking.store import connect

    with step_context("train", code_version) as log:
        client = connect(tracking_uri)
        tree.enter(client, tree.parent_of(client, run_id), Owner.parse(owner, pipeline_run_id))
        train_candidate(client, run_id, Path(faces.path), state_dir, log)
        return run_id
