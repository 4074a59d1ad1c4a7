"""Checks that nothing in a compiled pipeline refers to what is not there. A strict parse does not see that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def dangling(ir: Mapping[str, Any]) -> list[str]:
    """One sentence for each reference of an IR (`PipelineSpec` as YAML) that leads nowhere."""
    return list(_dangling(ir))


def _dangling(ir: Mapping[str, Any]) -> Iterator[str]:
    components = ir["components"]
    executors = ir["deploymentSpec"]["executors"]
    for name, component in components.items():
        if "executorLabel" in component and component["executorLabel"] not in executors:
            yield f"{name}: no executor {component['executorLabel']}"
    for name, component in {"root": ir["root"], **components}.items():
        if "dag" in component:
            yield from (f"{name}: {found}" for found in _dangling_in(component, components))


def _dangling_in(component: Mapping[str, Any], components: Mapping[str, Any]) -> Iterator[str]:
    tasks = component["dag"]["tasks"]
    given = component.get("inputDefinitions", {})

    def outputs(task: str, kind: str) -> Mapping[str, Any]:
        reference = tasks[task]["componentRef"]["name"]
        return components.get(reference, {}).get("outputDefinitions", {}).get(kind, {})

    for name, task in tasks.items():
        reference = task["componentRef"]["name"]
        if reference not in components:
            yield f"{name}: no component {reference}"
            continue
        wanted = components[reference].get("inputDefinitions", {})
        for before in task.get("dependentTasks", []):
            if before not in tasks:
                yield f"{name}: waits for {before}, which is not there"
        for kind in ("parameters", "artifacts"):
            filled = task.get("inputs", {}).get(kind, {})
            items = {task.get(f"{one}Iterator", {}).get("itemInput") for one in ("parameter", "artifact")}
            for needed, definition in wanted.get(kind, {}).items():
                if needed not in filled and needed not in items and not definition.get("isOptional"):
                    yield f"{name}: nothing is given for its input {needed}"
            for input_name, source in filled.items():
                if input_name not in wanted.get(kind, {}):
                    yield f"{name}: has no input {input_name}"
                from_task = source.get("taskOutputParameter") or source.get("taskOutputArtifact")
                from_component = source.get("componentInputParameter") or source.get("componentInputArtifact")
                if from_task:
                    producer = from_task["producerTask"]
                    key = from_task.get("outputParameterKey") or from_task.get("outputArtifactKey")
                    if producer not in tasks:
                        yield f"{name}.{input_name}: no task {producer}"
                    elif key not in outputs(producer, kind):
                        yield f"{name}.{input_name}: task {producer} has no output {key}"
                elif from_component and from_component not in given.get(kind, {}) and from_component not in items:
                    yield f"{name}.{input_name}: the pipeline has no input {from_component}"
    yield from _dangling_outputs(component, tasks, outputs)


def _dangling_outputs(component: Mapping[str, Any], tasks: Mapping[str, Any], outputs: Any) -> Iterator[str]:
    for kind, selector, key in (
        ("parameters", "valueFromParameter", "outputParameterKey"),
        ("artifacts", "artifactSelectors", "outputArtifactKey"),
    ):
        given = component["dag"].get("outputs", {}).get(kind, {})
        for name in component.get("outputDefinitions", {}).get(kind, {}):
            if name not in given:
                yield f"its output {name} comes from nowhere"
        for name, source in given.items():
            found = source.get(selector, [])
            for one in found if isinstance(found, list) else [found]:
                task = one["producerSubtask"]
                if task not in tasks or one[key] not in outputs(task, kind):
                    yield f"its output {name} comes from {task}.{one[key]}, which is not there"
