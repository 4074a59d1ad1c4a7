"""What is in the compiled pipeline: read strictly, and looked through for what a cluster would be told."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from compiled_pipeline import IMAGE, MLFLOW, SECRETS, Compiled
from faulty_pipeline import faulty
from google.protobuf.json_format import ParseDict, ParseError
from kfp import compiler
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from parameter_types import mismatches
from references import dangling

from components import CPU_IMAGE, GPU_IMAGE
from ferkit.code_version import step_version
from pipeline.cluster import Cluster
from pipeline.dag import DISPLAY_NAMES
from pipeline.kubeflow import RunConfig, compile_pipeline, immutable_images
from pipeline.parameters import Parameters
from pipeline.step_resources import STEPS
from pipeline.task_settings import LONGEST_SECONDS

# Protobuf makes its messages when it is imported, where no type checker sees them.
KubernetesExecutorConfig: Any = vars(kubernetes_executor_config_pb2)["KubernetesExecutorConfig"]
PipelineSpec: Any = vars(pipeline_spec_pb2)["PipelineSpec"]
PlatformSpec: Any = vars(pipeline_spec_pb2)["PlatformSpec"]

PLACED = list(STEPS)


def test_the_ir_parses_strictly(compiled: Compiled) -> None:
    documents = list(yaml.safe_load_all(compiled.path.read_text()))
    assert len(documents) == 2
    ParseDict(documents[0], PipelineSpec())
    ParseDict(documents[1], PlatformSpec())
    for settings in compiled.kubernetes.values():
        ParseDict(settings, KubernetesExecutorConfig())


def test_the_strict_parse_sees_a_misspelt_field(compiled: Compiled) -> None:
    with pytest.raises(ParseError, match="retryPolici"):
        ParseDict({**compiled.ir, "retryPolici": {}}, PipelineSpec())


def test_no_reference_leads_nowhere(compiled: Compiled) -> None:
    assert dangling(compiled.ir) == []


def _without_a_component(ir: dict[str, Any]) -> None:
    del ir["components"]["comp-train"]


def _without_an_executor(ir: dict[str, Any]) -> None:
    del ir["deploymentSpec"]["executors"]["exec-ingest"]


def _without_an_output(ir: dict[str, Any]) -> None:
    del ir["components"]["comp-balance"]["outputDefinitions"]["artifacts"]["balanced"]


def _without_an_input(ir: dict[str, Any]) -> None:
    tasks = ir["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    del tasks["ingest"]["inputs"]["parameters"]["source_version"]


def _without_a_producer(ir: dict[str, Any]) -> None:
    del ir["components"]["comp-exit-handler-1"]["dag"]["tasks"]["locate"]


def _without_what_the_loop_returns(ir: dict[str, Any]) -> None:
    loop = next(name for name in ir["components"] if name.startswith("comp-for-loop"))
    del ir["components"][loop]["dag"]["outputs"]


@pytest.mark.parametrize(
    "breaks",
    [
        _without_a_component,
        _without_an_executor,
        _without_an_output,
        _without_an_input,
        _without_a_producer,
        _without_what_the_loop_returns,
    ],
)
def test_a_reference_that_leads_nowhere_is_found(compiled: Compiled, breaks: Callable[[dict[str, Any]], None]) -> None:
    broken = copy.deepcopy(compiled.ir)
    breaks(broken)
    ParseDict(broken, PipelineSpec())  # which a strict parse lets pass
    assert dangling(broken)


def test_every_parameter_has_the_type_that_its_reader_declares(compiled: Compiled) -> None:
    assert mismatches(compiled.ir) == []


def test_a_bare_list_that_is_looped_over_is_found(tmp_path: Path) -> None:
    path = tmp_path / "faulty.yaml"
    compiler.Compiler().compile(faulty, str(path))
    [found] = mismatches(next(yaml.safe_load_all(path.read_text())))
    assert "train.candidate: declared STRUCT, gets STRING" in found


@pytest.mark.parametrize("step", PLACED)
def test_every_step_runs_in_the_image_that_was_given(compiled: Compiled, step: str) -> None:
    image = f"{IMAGE}-gpu" if step == "train" else IMAGE
    assert compiled.container(step)["image"] == image
    assert {"name": "FERPIPE_IMAGE", "value": image} in compiled.container(step)["env"]


def test_no_placeholder_image_is_left(compiled: Compiled) -> None:
    assert CPU_IMAGE not in compiled.path.read_text()
    assert GPU_IMAGE not in compiled.path.read_text()


def test_only_training_asks_for_gpus(compiled: Compiled) -> None:
    asked = {step: compiled.container(step)["resources"].get("accelerator") for step in PLACED}
    train = asked.pop("train")
    assert (train["resourceType"], train["resourceCount"]) == ("nvidia.com/gpu", "2")
    assert set(asked.values()) == {None}


def test_only_training_is_sent_to_the_gpu_nodes(compiled: Compiled) -> None:
    train = compiled.settings("train")
    assert train["nodeSelector"]["labels"] == {"gpu-pool": "a100"}
    [toleration] = train["tolerations"]
    assert toleration == {
        "key": "nvidia.com/gpu",
        "operator": "Equal",
        "value": "yes",
        "effect": "NoExecute",
        "tolerationSeconds": "60",
    }
    for step in PLACED:
        if step != "train":
            assert "nodeSelector" not in compiled.settings(step)
            assert "tolerations" not in compiled.settings(step)


def test_training_keeps_its_state_on_the_volume(compiled: Compiled) -> None:
    [mount] = compiled.settings("train")["pvcMount"]
    assert (mount["constant"], mount["mountPath"], mount["subPath"]) == ("training-state", "/state", "fer")
    default = compiled.ir["root"]["inputDefinitions"]["parameters"]["state_dir"]["defaultValue"]
    assert default == "/state"


def test_training_has_shared_memory_and_every_step_scratch(compiled: Compiled) -> None:
    mounts = {mount["mountPath"]: mount for mount in compiled.settings("train")["emptyDirMounts"]}
    assert (mounts["/dev/shm"]["medium"], mounts["/dev/shm"]["sizeLimit"]) == ("Memory", "4Gi")
    for step in PLACED:
        assert "/tmp" in [mount["mountPath"] for mount in compiled.settings(step)["emptyDirMounts"]]


def test_the_csv_volume_is_mounted_where_the_csv_is_read(compiled: Compiled) -> None:
    mounted = {
        step
        for step in PLACED
        for mount in compiled.settings(step).get("pvcMount", [])
        if mount["constant"] == "csv-files"
    }
    assert mounted == {"locate", "ingest"}


def test_resources_are_those_of_the_step(compiled: Compiled) -> None:
    train = compiled.container("train")["resources"]
    assert (train["resourceCpuRequest"], train["resourceCpuLimit"]) == ("6", "8")
    assert (train["resourceMemoryRequest"], train["resourceMemoryLimit"]) == ("24Gi", "32Gi")
    for step in set(PLACED) - {"train"}:
        of_step = compiled.container(step)["resources"]
        limits = (of_step["resourceMemoryRequest"], of_step["resourceMemoryLimit"])
        assert limits == (STEPS[step].memory, STEPS[step].memory_limit), step


def test_every_step_is_tried_again_with_growing_waits(compiled: Compiled) -> None:
    tasks = compiled.tasks()
    for step in PLACED:
        policy = tasks[step.replace("_", "-")]["retryPolicy"]
        assert policy["maxRetryCount"] == (5 if step == "train" else STEPS[step].retries)
        assert (policy["backoffDuration"], policy["backoffFactor"], policy["backoffMaxDuration"]) == (
            "20s",
            3.0,
            f"{LONGEST_SECONDS}s",
        )


def test_every_step_ends_in_time(compiled: Compiled) -> None:
    assert compiled.settings("train")["activeDeadlineSeconds"] == str(90 * 60)
    assert all(int(compiled.settings(step)["activeDeadlineSeconds"]) > 0 for step in PLACED)


def test_only_pure_steps_are_cached(compiled: Compiled) -> None:
    cached = {name for name, task in compiled.tasks().items() if task.get("cachingOptions", {}).get("enableCache")}
    cached -= {name for name in cached if name.startswith(("exit-handler", "for-loop"))}
    assert cached == {"ingest", "balance"}


def test_nothing_is_cached_when_told_so(tmp_path) -> None:
    path = tmp_path / "uncached.yaml"
    compile_pipeline(RunConfig(Parameters(), Cluster()), immutable_images(IMAGE), MLFLOW, path, cached=False)
    ir = next(yaml.safe_load_all(path.read_text()))
    ParseDict(ir, PipelineSpec())
    assert "enableCache" not in path.read_text()
    assert dangling(ir) == []


def test_secrets_are_given_by_reference_to_the_steps_that_need_them(compiled: Compiled) -> None:
    given = {
        (secret["secretName"], key["secretKey"], key["envVar"]): secret["optional"]
        for secret in compiled.settings("close_run")["secretAsEnv"]
        for key in secret["keyToEnv"]
    }
    assert given == {
        ("mlflow-credentials", "user", "MLFLOW_TRACKING_USERNAME"): False,
        ("mlflow-credentials", "password", "MLFLOW_TRACKING_PASSWORD"): False,
        ("webhook", "address", "FERPIPE_WEBHOOK"): True,
    }
    with_s3 = {
        step
        for step in PLACED
        if any(secret["secretName"] == "s3-keys" for secret in compiled.settings(step)["secretAsEnv"])
    }
    assert with_s3 == {"locate", "ingest", "train"}


def test_no_secret_is_in_the_file(compiled: Compiled) -> None:
    text = compiled.path.read_text()
    assert [name for name, value in SECRETS.items() if value in text] == []


def test_pods_are_labelled_run_as_nobody_and_pull_as_told(compiled: Compiled) -> None:
    for step in PLACED:
        settings = compiled.settings(step)
        assert settings["securityContext"] == {"runAsUser": "20001", "runAsNonRoot": True}
        assert settings["imagePullPolicy"] == "Always"
        assert [secret["secretName"] for secret in settings["imagePullSecret"]] == ["registry"]
        assert settings["podMetadata"]["labels"] == {"team": "faces"}
        assert settings["podMetadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}


def test_the_exit_task_waits_for_everything_and_runs_whatever_happened(compiled: Compiled) -> None:
    closing = compiled.ir["root"]["dag"]["tasks"]["close-run"]
    assert closing["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert closing["dependentTasks"] == ["exit-handler-1"]


def test_candidates_train_side_by_side_as_many_as_told(compiled: Compiled) -> None:
    loops = [task for name, task in compiled.tasks().items() if name.startswith("for-loop")]
    assert [loop["iteratorPolicy"]["parallelismLimit"] for loop in loops] == [3, 3]


def test_the_loops_items_are_run_ids_and_nothing_else_from_a_task_but_artifacts_enters(compiled: Compiled) -> None:
    for loop in (task for name, task in compiled.tasks().items() if name.startswith("for-loop")):
        items = loop["parameterIterator"]["items"]["inputParameter"]
        from_tasks = [name for name, source in loop["inputs"]["parameters"].items() if "taskOutputParameter" in source]
        assert from_tasks == [items]
        component = compiled.ir["components"][loop["componentRef"]["name"]]
        item = loop["parameterIterator"]["itemInput"]
        assert component["inputDefinitions"]["parameters"][item]["parameterType"] == "STRING"


def test_training_waits_for_the_profile_that_people_look_at(compiled: Compiled) -> None:
    loops = {task["taskInfo"]["name"]: task for name, task in compiled.tasks().items() if name.startswith("for-loop")}
    assert "profile" in loops["for each candidate"]["dependentTasks"]


def test_every_task_has_a_name_for_people_and_knows_the_code_of_its_step(compiled: Compiled) -> None:
    for name, task in compiled.tasks().items():
        if name.startswith(("for-loop", "exit-handler")):
            continue
        assert task["taskInfo"]["name"] in DISPLAY_NAMES.values(), name
        step = name.removesuffix("-2").replace("-", "_")
        if step != "close_run":
            code = task["inputs"]["parameters"]["code_version"]["runtimeValue"]["constant"]
            assert code == step_version(step), name


def test_a_thousand_candidates_and_their_run_ids_fit(tmp_path: Path) -> None:
    """Linux takes 128 kB as one argument; a list of ids is one of register's."""
    many = [{"architecture": "lenet", "seed": seed} for seed in range(1000)]
    path = tmp_path / "many.yaml"
    compile_pipeline(
        RunConfig(Parameters.parse({"candidates": many}), Cluster()), immutable_images(IMAGE), MLFLOW, path
    )
    ir = next(yaml.safe_load_all(path.read_text()))
    assert mismatches(ir) == []
    assert len(json.dumps(["0" * 32] * 3000)) < 128 * 1024


def test_a_search_of_two_hundred_trials_compiles_to_one_loop(tmp_path: Path) -> None:
    space = {"architecture": ["lenet", "multi_kernel"], "learning_rate": {"low": 1e-4, "high": 0.1, "log": True}}
    parameters = Parameters.parse({"search": {"space": space, "trials": 200}})
    path = tmp_path / "search.yaml"
    compile_pipeline(RunConfig(parameters, Cluster()), immutable_images(IMAGE), MLFLOW, path)
    ir = next(yaml.safe_load_all(path.read_text()))
    assert mismatches(ir) == []
    defaults = {name: one.get("defaultValue") for name, one in ir["root"]["inputDefinitions"]["parameters"].items()}
    assert (defaults["candidates"], defaults["search"]["trials"]) == ([], 200)
    assert Parameters.parse({name: defaults[name] for name in parameters.dump()}) == parameters  # as a step gets it


def test_the_same_settings_compile_to_the_same_bytes(config, compiled: Compiled, tmp_path) -> None:
    from pipeline.kubeflow import read_run_config

    again = tmp_path / "again.yaml"
    compile_pipeline(read_run_config(None, config), immutable_images(IMAGE), MLFLOW, again)
    assert again.read_bytes() == compiled.path.read_bytes()
