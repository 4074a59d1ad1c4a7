"""Tags of a run that say what data and what code it comes from, and who started it."""

from __future__ import annotations

import os
from typing import Final

from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, MLFLOW_USER

from components import __version__
from ferkit.addresses import data_name
from ferkit.code_version import code_version, weights_version
from ferkit.registry.promotion import who
from ferkit.tracking import names

IMAGE_VARIABLE: Final = "FERPIPE_IMAGE"


def origin_tags(csv: str, source_version: str, git_commit: str) -> dict[str, str]:
    """The tags by name; what is not known is left out.

    Args:
        csv: address of the source CSV.
        source_version: of it, as `locate` found it; empty where it is not known.
        git_commit: with `-dirty` behind it when the tree was; empty outside a repository.
    """
    tags = {
        names.GIT_COMMIT: git_commit,
        names.CODE_VERSION: code_version(),
        names.WEIGHTS_VERSION: weights_version(),
        names.DATA_VERSION: source_version,
        names.DATA_NAME: data_name(csv),
        names.PIPELINE_VERSION: __version__,
        names.IMAGE: os.environ.get(IMAGE_VARIABLE, ""),
        # What the UI shows as a run's source.
        MLFLOW_SOURCE_NAME: "fer-pipeline",
        MLFLOW_SOURCE_TYPE: "JOB",
        MLFLOW_USER: who(),
        MLFLOW_GIT_COMMIT: git_commit,
    }
    return {name: value for name, value in tags.items() if value}
