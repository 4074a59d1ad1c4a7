"""What images/kubernetes/serving starts: the champion in the steps' image, as nobody, on a read-only disk."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pytest
import requests
import yaml
from engine import Built, docker
from mlflow.artifacts import download_artifacts
from mlflow_server import IMAGES, mlflow_server

from ferkit.data import EMOTIONS
from ferkit.tracking import names

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]

NAME = "fer-pipeline-test-inference"


@pytest.fixture
def registered(logged_model: LoggedModel, new_store: Callable[[Path], str], tmp_path: Path) -> Iterator[str]:
    """The address of a server whose champion is the tests' network; its files go through the server."""
    for set_address in (mlflow.set_tracking_uri, mlflow.set_registry_uri):
        set_address(logged_model.tracking_uri)
    folder = download_artifacts(f"models:/{names.REGISTERED_MODEL}@{names.CHAMPION}")
    with mlflow_server(tmp_path, new_store(tmp_path), str(tmp_path / "files"), {}) as address:
        for set_address in (mlflow.set_tracking_uri, mlflow.set_registry_uri):
            set_address(address)
        mlflow.set_experiment(names.EXPERIMENT)
        with mlflow.start_run() as run:
            mlflow.log_artifacts(folder, "model")
        mlflow.register_model(f"runs:/{run.info.run_id}/model", names.REGISTERED_MODEL)
        mlflow.MlflowClient().set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, "1")
        yield address


def test_the_inference_services_container_answers(images: Built, registered: str) -> None:
    service: Any = yaml.safe_load((IMAGES / "kubernetes" / "serving" / "inference-service.yaml").read_text())
    [container] = service["spec"]["predictor"]["containers"]
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    words = [re.sub("^--port=.*", f"--port={port}", word) for word in [*container["command"], *container["args"]]]
    strict = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=10001"]
    docker("rm", "--force", NAME, check=False)
    server = f"--env=MLFLOW_TRACKING_URI={registered}"
    docker("run", "--detach", f"--name={NAME}", "--network=host", *strict, server, images.cpu, *words)
    try:
        wait_for(f"http://127.0.0.1:{port}{container['readinessProbe']['httpGet']['path']}")
        face = np.random.default_rng(7).integers(0, 256, (48, 48)).tolist()
        asked = {"dataframe_split": {"columns": ["face"], "data": [[face], [face]]}}
        answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=asked, timeout=120)
        assert answer.status_code == 200, answer.text
        first, second = answer.json()["predictions"]
        assert first == second
        assert first["emotion"] in EMOTIONS
    finally:
        docker("rm", "--force", NAME, check=False)


def wait_for(address: str) -> None:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)
    pytest.fail(docker("logs", NAME, check=False).stderr[-3000:])
