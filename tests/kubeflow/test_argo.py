"""The Argo Workflow that the Kubeflow backend's own compiler makes of our pipeline.

The compiler is the Go package argocompiler at the version in argo/go.mod: v0.0.0-20231208180049-c5658f09ec38, of
Kubeflow Pipelines 2.0.5, the newest that the module proxy served when this was written. It shows that the backend takes
the IR, how steps wait for each other, and what the driver of each step is told. It is older than some of what we set:
it carries retry policies, the loop's parallelism and the newer fields for Kubernetes to the driver without acting on
them, and refuses the one input that tells the exit task how the pipeline ended (argo/main.go puts a text in its place).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from compiled_pipeline import IMAGE, SECRETS, Compiled

from pipeline.cluster import STEPS

pytestmark = [pytest.mark.go, pytest.mark.timeout(1200)]

ARGO = Path(__file__).resolve().parent / "argo"
PREFIX = "pipelines.kubeflow.org/"


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
    """What the driver of a step gets: its `components`, `implementations` (container) or `kubernetes` settings."""
    return json.loads(workflow["metadata"]["annotations"][f"{PREFIX}{kind}-comp-{step}"])


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


def test_the_exit_handler_runs_whatever_happened(workflow: dict[str, Any]) -> None:
    waits = set(tasks(workflow, "root")["close-run-driver"]["depends"].split(" || "))
    assert {f"exit-handler-1.{state}" for state in ("Succeeded", "Skipped", "Failed", "Errored")} == waits


def test_images_are_those_that_were_given(workflow: dict[str, Any]) -> None:
    assert told(workflow, "implementations", "train")["image"] == f"{IMAGE}-gpu"
    for step in set(STEPS) - {"train"}:
        assert told(workflow, "implementations", step.replace("_", "-"))["image"] == IMAGE


def test_the_driver_of_training_is_told_of_gpus_nodes_and_volumes(workflow: dict[str, Any]) -> None:
    accelerator = told(workflow, "implementations", "train")["resources"]["accelerator"]
    assert (accelerator.get("resourceType") or accelerator["type"]) == "nvidia.com/gpu"
    assert int(accelerator.get("resourceCount") or accelerator["count"]) == 2
    settings = told(workflow, "kubernetes", "train")
    assert settings["nodeSelector"]["labels"] == {"gpu-pool": "a100"}
    assert settings["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert settings["pvcMount"][0]["mountPath"] == "/state"
    assert {mount["mountPath"] for mount in settings["emptyDirMounts"]} == {"/tmp", "/dev/shm"}


def test_no_other_driver_is_told_of_gpus(workflow: dict[str, Any]) -> None:
    for name, value in workflow["metadata"]["annotations"].items():
        if not name.endswith("-train"):
            assert "gpu-pool" not in value
            assert '"accelerator"' not in value


def test_secrets_go_by_reference(workflow: dict[str, Any]) -> None:
    secrets = told(workflow, "kubernetes", "locate")["secretAsEnv"]
    assert [secret["secretName"] for secret in secrets] == ["mlflow-credentials", "s3-keys"]
    assert secrets[1]["keyToEnv"] == [
        {"secretKey": "id", "envVar": "AWS_ACCESS_KEY_ID"},
        {"secretKey": "key", "envVar": "AWS_SECRET_ACCESS_KEY"},
    ]


def test_no_secret_is_in_the_workflow(workflow: dict[str, Any]) -> None:
    text = json.dumps(workflow)
    assert [name for name, value in SECRETS.items() if value in text] == []


def test_retries_reach_the_driver_of_the_dag(workflow: dict[str, Any]) -> None:
    loops = [value for name, value in workflow["metadata"]["annotations"].items() if "components-comp-for-loop" in name]
    steps = [json.loads(value)["dag"]["tasks"] for value in loops]
    [train] = [tasks["train"] for tasks in steps if "train" in tasks]
    assert train["retryPolicy"]["maxRetryCount"] == 5
