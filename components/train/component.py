"""train: a candidate's network, fitted to the balanced faces, on a GPU where there is one."""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input

from components.images import GPU_IMAGE


@dsl.component(base_image=GPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def train(candidate: dict[str, Any], faces: Input[Dataset], state_dir: str, tracking_uri: str) -> str:
    """Trains one candidate and logs its model, figures and pictures to its own MLflow run.

    Goes on where it was when it is retried. The run stays open for the evaluation; if training diverged, it is FAILED.

    Args:
        candidate: an item that open_run made: ids, name, architecture, resolved parameters, tags.
        faces: the balanced data set; train is fitted, validation chooses the epoch, test is not read.
        state_dir: folder or s3:// prefix for the state of the training; empty for none.
        tracking_uri: the MLflow to log to.

    Returns:
        The MLflow run id of the candidate.
    """
    from pathlib import Path

    from components.step import running
    from components.tracking.store import connect
    from components.train.train import train_candidate

    with running("train") as log:
        return train_candidate(connect(tracking_uri), candidate, Path(faces.path), state_dir, log)
