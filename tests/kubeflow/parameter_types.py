"""Checks that each parameter of a compiled pipeline has the type that its reader declares, as the driver does.

The backend's driver compares the kind of each value with the declared type and ends the run where they differ; what a
declared STRING carries is text from then on. The local runner compares nothing. What was seen on a real backend:
`input parameter "candidate" type mismatch: expect STRUCT, got string`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

KINDS = {str: "STRING", bool: "BOOLEAN", float: "NUMBER", int: "NUMBER", list: "LIST", dict: "STRUCT"}


def mismatches(ir: Mapping[str, Any]) -> list[str]:
    """One sentence for each parameter of an IR (`PipelineSpec` as YAML) that gets another type than it declares."""
    return list(_mismatches(ir))


def _mismatches(ir: Mapping[str, Any]) -> Iterator[str]:
    components = ir["components"]
    loops = {
        task["componentRef"]["name"]
        for component in [ir["root"], *components.values()]
        for task in component.get("dag", {}).get("tasks", {}).values()
        if "parameterIterator" in task
    }
    for name, component in {"root": ir["root"], **components}.items():
        for parameter, declared in _inputs(component).items():
            default = declared.get("defaultValue")
            if default is not None and _kind(default) != _kind_of(declared):
                yield f"{name}.{parameter}: declared {_kind_of(declared)}, its default is {_kind(default)}"
        if "dag" in component:
            yield from (f"{name}: {found}" for found in _in_dag(component, components))
            yield from (f"{name}: {found}" for found in _of_outputs(component, components, name in loops))


def _in_dag(component: Mapping[str, Any], components: Mapping[str, Any]) -> Iterator[str]:
    tasks = component["dag"]["tasks"]
    for name, task in tasks.items():
        wanted = _inputs(components[task["componentRef"]["name"]])
        for parameter, source in task.get("inputs", {}).get("parameters", {}).items():
            given = _given(source, component, tasks, components)
            if given and given != _kind_of(wanted[parameter]):
                yield f"{name}.{parameter}: declared {_kind_of(wanted[parameter])}, gets {given}"
        loop = task.get("parameterIterator")
        if loop and (items := loop["items"].get("inputParameter")) and _kind_of(wanted[items]) != "LIST":
            yield f"{name}: loops over {items}, which is {_kind_of(wanted[items])}"


def _of_outputs(component: Mapping[str, Any], components: Mapping[str, Any], is_loop: bool) -> Iterator[str]:
    """A loop's component hands out the list of what its iterations gave; any other what its task gave."""
    tasks = component["dag"]["tasks"]
    for output, source in component["dag"].get("outputs", {}).get("parameters", {}).items():
        of = source["valueFromParameter"]
        producer = components[tasks[of["producerSubtask"]]["componentRef"]["name"]]
        given = "LIST" if is_loop else _kind_of(_outputs(producer)[of["outputParameterKey"]])
        declared = _kind_of(_outputs(component)[output])
        if given != declared:
            yield f"output {output}: declared {declared}, gets {given}"


def _given(source: Mapping[str, Any], component: Mapping[str, Any], tasks: Any, components: Any) -> str:
    """The type that a task's input gets; empty where the backend fills it in (the final status)."""
    if constant := source.get("runtimeValue"):
        return _kind(constant["constant"]) if "constant" in constant else ""
    if name := source.get("componentInputParameter"):
        return _kind_of(_inputs(component)[name])
    if of := source.get("taskOutputParameter"):
        producer = components[tasks[of["producerTask"]]["componentRef"]["name"]]
        return _kind_of(_outputs(producer)[of["outputParameterKey"]])
    return ""


def _inputs(component: Mapping[str, Any]) -> Mapping[str, Any]:
    return component.get("inputDefinitions", {}).get("parameters", {})


def _outputs(component: Mapping[str, Any]) -> Mapping[str, Any]:
    return component.get("outputDefinitions", {}).get("parameters", {})


def _kind_of(definition: Mapping[str, Any]) -> str:
    """The declared type; both numbers are one kind to the driver."""
    declared = definition["parameterType"]
    return "NUMBER" if declared.startswith("NUMBER") else declared


def _kind(value: Any) -> str:
    return KINDS[type(value)]
