"""The compiled pipeline, made once; a Kubeflow to submit to; an MLflow server."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner, Result
from compiled_pipeline import CLUSTER, CODE_VERSION, IMAGE, MLFLOW, SECRETS, Compiled, Submit
from kubeflow_api import KubeflowApi, serving
from mlflow_server import mlflow_server

from pipeline.cli import cli
from pipeline.kubeflow import compile_pipeline, immutable_images, read_run_config


@pytest.fixture(scope="session", autouse=True)
def stacks_without_sources() -> Iterator[None]:
    """kfp looks at the whole call stack at every setting of a task, for a name in an error that it might raise.

    In a test's deep stack, with all of TensorFlow's modules loaded, to read the sources of its frames takes 5 to 10
    seconds a pipeline; in the command, the whole compilation takes a tenth of one.
    """
    with pytest.MonkeyPatch.context() as patch:
        stack = functools.partial(inspect.stack, 0)
        patch.setattr("kfp.dsl.pipeline_task.inspect", SimpleNamespace(stack=stack))
        yield


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
        compile_pipeline(read_run_config(None, config), immutable_images(IMAGE), MLFLOW, path)
    ir, platforms = yaml.safe_load_all(path.read_text())
    return Compiled(path, ir, platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"])


@pytest.fixture
def api() -> Iterator[KubeflowApi]:
    """A Kubeflow that answers, and wants a token."""
    with serving(KubeflowApi(token=SECRETS["KFP_TOKEN"])) as api:
        yield api


@pytest.fixture(scope="session")
def mlflow_address(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server on SQLite."""
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder, new_store(folder), str(folder / "artifacts")) as address:
        yield address


@pytest.fixture
def submit(api: KubeflowApi, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """`ferpipe submit` to that Kubeflow, with secrets in the environment that must not show in what it says."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    # The working tree may change while the tests run.
    monkeypatch.setattr("pipeline.dag.step_version", lambda step: CODE_VERSION)
    monkeypatch.setattr("pipeline.resubmit.weights_version", lambda: CODE_VERSION)

    def submit(*arguments: str, host: str = "", tracking_uri: str = MLFLOW) -> Result:
        command = ["submit", "--host", host or api.host, "--image", IMAGE, "--tracking-uri", tracking_uri]
        result = CliRunner().invoke(cli, [*command, "--every", "0.01", *arguments])
        assert [name for name, value in SECRETS.items() if value in result.output] == []
        return result

    return submit
