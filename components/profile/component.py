"""profile: pictures and counts of the data, before and after balancing."""

from kfp import dsl
from kfp.dsl import Dataset, Input

from components.images import CPU_IMAGE


@dsl.component(base_image=CPU_IMAGE, install_kfp_package=False, packages_to_install=[])
def profile(faces: Input[Dataset], balanced: Input[Dataset], run: list, tracking_uri: str):
    """Logs pictures and tables of the data to the parent run, under `profile/`.

    Args:
        faces: data set folder of `ingest`.
        balanced: data set folder of `balance`.
        run: what `open_run` gave: the first item names the parent run.
        tracking_uri: the MLflow to log to.
    """
    import tempfile
    from pathlib import Path

    from components.profile.log_profile import log_profile
    from components.profile.profile_data import profile_data
    from components.step import running
    from components.tracking.store import connect

    with running("profile") as log, tempfile.TemporaryDirectory() as folder:
        findings = profile_data(faces.path, balanced.path, Path(folder))
        log_profile(connect(tracking_uri), run[0]["parent_run_id"], findings, Path(folder))
        log.info(findings.summary())
