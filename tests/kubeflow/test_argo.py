"""The Argo Workflow that the Kubeflow backend's own compiler makes of our pipeline.

The compiler is the Go package argocompiler at the version in argo/go.mod: v0.0.0-20250902140602-fc3214d4b4d3, of
Kubeflow Pipelines 2.14.3, the newest that the module proxy served whole when this was written. It shows that the
backend takes the IR, how steps wait for each other, what is tried again and side by side, and what the driver of each
step is told. The messages of the Kubernetes settings are older than it (argo/main.go says what is left out for them).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from compiled_pipeline import IMAGE, SECRETS, Compiled

from pipeline.step_resources import STEPS

pytestmark = [pytest.mark.go, pytest.mark.timeout(1200)]

ARGO = Path(__file__).resolve().parent / "argo"


@pytest.fixture(scope="module")
def argo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wrapper around the backend's compiler (a minute and a half to build the first time, on two cores)."""
    assert shutil.which("go"), "Go 1.26 is needed: install it, or run `make test`, which leaves this out"
    program = tmp_path_factory.mktemp("argo") / "argo"
    subprocess.run(["go", "build", "-trimpath", "-o", str(program), "."], cwd=ARGO, check=True)
    return program


@pytest.fixture(scope="module")
def workflow(argo: Path, compiled: Compiled) -> dict[str, Any]:
    """The Argo Workflow of the pipeline compiled with every cluster setting."""
    made = subprocess.run([argo, compiled.path], check=True, capture_output=True, text=True)
    return json.loads(made.stdout)


def told(workflow: dict[str, Any], kind: str, step: str) -> dict[str, Any]:
    """What the driver of a step gets: its `component`, `container` or `kubernetes-config`."""
    [driver] = [
        task
        for template in workflow["spec"]["templates"]
        for task in template.get("dag", {}).get("tasks", [])
        if task["name"] == f"{step}-driver"
    ]
    given = {one["name"]: one["value"] for one in driver["arguments"]["parameters"]}[kind]
    name = given.removeprefix("{{workflow.parameters.").removesuffix("}}")
    return json.loads(parameters(workflow)[name])


def parameters(workflow: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in workflow["spec"]["arguments"]["parameters"]}


def tasks(workflow: dict[str, Any], template: str) -> dict[str, dict[str, Any]]:
    [found] = [one for one in workflow["spec"]["templates"] if one["name"] == template]
    return {task["name"]: task for task in found["dag"]["tasks"]}


def test_the_backend_takes_the_pipeline(workflow: dict[str, Any]) -> None:
    assert (workflow["kind"], workflow["apiVersion"]) == ("Workflow", "argoproj.io/v1alpha1")
    assert workflow["metadata"]["generateName"] == "facial-expression-"
    assert workflow["spec"]["entrypoint"] in [template["name"] for template in workflow["spec"]["templates"]]


def test_a_pipeline_that_refers_to_nothing_is_refused(argo: Path, compiled: Compiled, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(compiled.path.read_text().replace("executorLabel: exec-train", "executorLabel: exec-nothing"))
    said = subprocess.run([argo, broken], check=False, capture_output=True, text=True)
    assert said.returncode == 1
    assert "exec-nothing" in said.stderr


def test_steps_wait_for_what_they_need(workflow: dict[str, Any]) -> None:
    waits = {name: task.get("depends", "") for name, task in tasks(workflow, "comp-exit-handler-1").items()}
    assert waits["locate-driver"] == ""
    assert waits["ingest-driver"] == "locate.Succeeded && open-run.Succeeded"
    assert waits["balance-driver"] == "ingest.Succeeded"
    assert "for-loop-" in waits["finalists-driver"]
    assert "for-loop-" in waits["ensemble-driver"]
    assert waits["evaluate-2-driver"] == "balance.Succeeded && ensemble.Succeeded"
    assert "evaluate-2.Succeeded" in waits["register-driver"]
    training = next(depends for name, depends in waits.items() if name.startswith("for-loop-2"))
    assert "profile.Succeeded" in training


def test_the_exit_handler_runs_whatever_happened_and_is_told_how_it_ended(workflow: dict[str, Any]) -> None:
    hook = tasks(workflow, "root")["exit-handler-1"]["hooks"]["exit"]
    assert "expression" not in hook
    assert set(tasks(workflow, hook["template"])) == {"close-run-driver", "close-run"}
    driver = tasks(workflow, hook["template"])["close-run-driver"]
    task = json.loads({one["name"]: one["value"] for one in driver["arguments"]["parameters"]}["task"])
    assert task["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}


def test_as_many_candidates_at_once_as_told(workflow: dict[str, Any]) -> None:
    loops = {one["name"]: one.get("parallelism") for one in workflow["spec"]["templates"] if "-iterator" in one["name"]}
    assert list(loops.values()) == [3, 3], loops


def test_images_are_those_that_were_given(workflow: dict[str, Any]) -> None:
    assert told(workflow, "container", "train")["image"] == f"{IMAGE}-gpu"
    for step in set(STEPS) - {"train"}:
        assert told(workflow, "container", step.replace("_", "-"))["image"] == IMAGE


def test_the_driver_of_training_is_told_of_gpus_nodes_and_volumes(workflow: dict[str, Any]) -> None:
    accelerator = told(workflow, "container", "train")["resources"]["accelerator"]
    assert (accelerator.get("resourceType") or accelerator["type"]) == "nvidia.com/gpu"
    assert int(accelerator.get("resourceCount") or accelerator["count"]) == 2
    settings = told(workflow, "kubernetes-config", "train")
    assert settings["nodeSelector"]["labels"] == {"gpu-pool": "a100"}
    assert settings["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert settings["pvcMount"][0]["mountPath"] == "/state"
    assert {mount["mountPath"] for mount in settings["emptyDirMounts"]} == {"/tmp", "/dev/shm"}


def test_no_other_driver_is_told_of_gpus(workflow: dict[str, Any]) -> None:
    for step in set(STEPS) - {"train"}:
        assert "nodeSelector" not in told(workflow, "kubernetes-config", step.replace("_", "-"))
        assert "accelerator" not in told(workflow, "container", step.replace("_", "-")).get("resources", {})
    assert len([name for name, value in parameters(workflow).items() if "gpu-pool" in value]) == 1


def test_secrets_go_by_reference(workflow: dict[str, Any]) -> None:
    secrets = told(workflow, "kubernetes-config", "locate")["secretAsEnv"]
    assert [secret["secretName"] for secret in secrets] == ["mlflow-credentials", "s3-keys"]
    assert secrets[1]["keyToEnv"] == [
        {"secretKey": "id", "envVar": "AWS_ACCESS_KEY_ID"},
        {"secretKey": "key", "envVar": "AWS_SECRET_ACCESS_KEY"},
    ]


def test_no_secret_is_in_the_workflow(workflow: dict[str, Any]) -> None:
    text = json.dumps(workflow)
    assert [name for name, value in SECRETS.items() if value in text] == []


def test_a_failed_step_is_tried_again_as_often_as_told(workflow: dict[str, Any]) -> None:
    task = tasks(workflow, "comp-for-loop-2")["train"]
    given = {one["name"]: one["value"] for one in task["arguments"]["parameters"]}
    assert given["retry-max-count"] == "5"
    [tried] = [one for one in workflow["spec"]["templates"] if one["name"] == f"{task['template'][:-8]}impl"]
    assert tried["retryStrategy"]["limit"] == "{{inputs.parameters.retry-max-count}}"
