"""The compiled pipeline, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from compiled_pipeline import CLUSTER, IMAGE, MLFLOW, SECRETS, Compiled

from pipeline.kubeflow import compile_pipeline, immutable_images, read_asked


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config file whose cluster section uses every setting."""
    path = tmp_path_factory.mktemp("config") / "cluster.yaml"
    path.write_text(yaml.safe_dump({"csv": "s3://faces/fer2013.csv.gz", "cluster": yaml.safe_load(CLUSTER)}))
    return path


@pytest.fixture(scope="session")
def compiled(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The pipeline compiled with that config."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        compile_pipeline(read_asked(None, config), immutable_images(IMAGE), MLFLOW, path)
    ir, platforms = yaml.safe_load_all(path.read_text())
    return Compiled(path, ir, platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"])
