"""Runs the pipeline in its containers on this machine: kfp's DockerRunner, made to tell a failure from a success.

    python tests/containers/docker_runner.py REQUEST.json

No command of the pipeline uses it: the tests run the DAG in its containers by it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp import local
from kfp.dsl import PipelineTask
from kfp.local import docker_task_handler

from pipeline.dag import pipeline_for


def run_container(client: Any, image: str, command: list[str], volumes: Mapping[str, Any], **options: Any) -> int:
    """Runs a container to its end and returns its exit status; its output goes to ours.

    In the place of kfp 2.17.0's own, which lets the engine remove the container the moment it ends: when that is faster
    than the question for its exit status, kfp takes a failed step for a success (kubeflow/pipelines#13332).

    Args:
        client: of the Docker engine.
        image: pulled where it is not there.
        command: of the container.
        volumes: as docker-py takes them.
        options: further arguments of docker-py's `containers.run`.
    """
    import docker.errors

    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        client.images.pull(image)
    container = client.containers.run(image, command, volumes=dict(volumes), detach=True, **options)
    try:
        for line in container.logs(stream=True):
            print(line.decode(errors="replace"), end="")
        return int(container.wait()["StatusCode"])
    finally:
        container.remove(force=True)


def mend_docker_runner() -> None:
    """Puts `run_container` in the place of kfp's, for this process."""
    docker_task_handler.run_docker_container = run_container


def main(request_path: str) -> None:
    """Runs the pipeline that a request describes; kfp's exit status is this process's.

    A request holds `arguments` (of the pipeline), `artifacts` (folder, mounted into every container), `image` and
    `gpu_image`, `options` (docker-py's for every container, such as `network_mode`, `user`, `environment`), and
    `retries` (further attempts of a training).
    """
    request = json.loads(Path(request_path).read_text())
    # Containers run as another user, who must be able to write where kfp makes folders for them.
    os.umask(0)
    Path(request["artifacts"]).mkdir(parents=True, exist_ok=True)
    mend_docker_runner()
    local.init(local.DockerRunner(**request["options"]), pipeline_root=request["artifacts"], enable_caching=False)

    def place(task: PipelineTask, step: str) -> PipelineTask:
        if step == "train" and request["retries"]:
            task.set_retry(request["retries"], "1s")
        return task.set_container_image(request["gpu_image" if step == "train" else "image"])

    pipeline_for(place)(**request["arguments"])


if __name__ == "__main__":
    main(sys.argv[1])
