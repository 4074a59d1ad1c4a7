"""What Argo says of a pipeline run's pods: which step each belongs to, how it went, and why it failed.

Kubeflow keeps Argo's whole answer: `status.nodes` of the Workflow, which has a node for every template that was
executed, so 65 to 140 of them for 9 steps. How the names come about (backend/src/v2/compiler/argocompiler of Kubeflow
Pipelines 2.17; Argo Workflows 4.0, workflow/controller/operator.go):

    for-loop-2(0)                        a loop, of type DAG; `(0)` is the first attempt, where retries are set
      iteration-iterations(0:…)(0)       its first item
        iteration-item(0)
          train-driver(0)                a Pod: works out the arguments of `train`
          train(0)                       DAG of one task
            executor(0), executor(1)     the Pods of the step, an attempt each; or `executor`, Skipped, from the cache

Every node names the one around it, its boundary. A pod's message is what it left in /dev/termination-log.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.progress import SECOND

EXECUTOR = "executor"
DRIVER = "-driver"
SUFFIX = re.compile(r"\([^()]*\)$")
ITEM = re.compile(r"^iteration-iterations\((\d+)")
STRUCTURE = re.compile(r"root|iteration-item|(exit-handler|for-loop)-\d+")
RUN_ID = re.compile(r"[0-9a-f]{32}")
CANDIDATE_INPUT = "run_id"
"""The input of a step that works on one candidate."""
ENDED = re.compile(r"^(?:[\w-]+: )?(?P<reason>\w+) \(exit code (?P<code>\d+)\)(?:: ?(?P<said>.*))?$", re.DOTALL)
LONGEST_WHY = 1000
STARTING = ("ContainerCreating", "PodInitializing")

State = Literal["waiting", "running", "succeeded", "failed", "cached"]
STATES: Mapping[str, State] = {
    "Pending": "waiting",
    "Running": "running",
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Error": "failed",
    "Skipped": "cached",
}
"""By Argo's phase. Omitted (a step before it failed) is no state of ours."""


@dataclass(frozen=True)
class Task:
    """A step as it stands in the run: once, or once for each item of a loop.

    Attributes:
        step: its name in the pipeline, such as `train` or `close-run`.
        item: number of the loop's item, from 0; None outside loops.
        run_id: MLflow run of the candidate that it works on; empty where that is not known (yet), and where it works
            on none.
    """

    step: str
    item: int | None = None
    run_id: str = ""


@dataclass(frozen=True)
class Attempt:
    """A pod of a task, or the pod that the cache spared.

    Attributes:
        task: whose it is.
        key: tells the task from all others of the run.
        number: which attempt, from 1.
        state: how it stands.
        message: what Argo says of it: why it waits, or why it failed.
        driver: whether it is the driver's pod, not the step's own.
    """

    task: Task
    key: str
    number: int
    state: State
    message: str
    driver: bool = False


def nodes_of(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The nodes of a Workflow, by id; those that Argo compressed because they passed a megabyte, too."""
    status = manifest.get("status") or {}
    if packed := status.get("compressedNodes"):
        return json.loads(gzip.decompress(base64.b64decode(packed)))
    return status.get("nodes") or {}


def attempts(nodes: Mapping[str, Mapping[str, Any]]) -> list[Attempt]:
    """Every attempt at every step that has begun, in the order in which they began."""
    pods: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for node in nodes.values():
        bare = _bare(node)
        if (bare == EXECUTOR or bare.endswith(DRIVER)) and node.get("type") in ("Pod", "Skipped"):
            pods[_key(nodes, node)].append(node)
    made = []
    for key, of_task in pods.items():
        of_task.sort(key=lambda node: (node.get("startedAt") or "", node.get("displayName") or ""))
        for number, node in enumerate(of_task, 1):
            if state := STATES.get(node.get("phase") or ""):
                attempt = Attempt(
                    _task(nodes, node), key, number, state, node.get("message") or "", _bare(node).endswith(DRIVER)
                )
                made.append((node.get("startedAt") or "", key, number, attempt))
    return [attempt for *_, attempt in sorted(made, key=lambda one: one[:3])]


def steps_seen(tasks: Iterable[Any]) -> list[Attempt]:
    """The steps among a run's `task_details`: all that a backend without the v1beta1 API says of them.

    These have neither messages nor candidates, and an attempt is not told from the next.
    """
    # Kubeflow has them in no order.
    tasks = sorted((task for task in tasks if task.display_name), key=lambda task: str(task.start_time))
    drivers = {SUFFIX.sub("", task.display_name) for task in tasks}
    seen = []
    for task in tasks:
        name, state = task.display_name, STATES.get((task.state or "").capitalize())
        if state and f"{name}{DRIVER}" in drivers and not STRUCTURE.fullmatch(name):
            seen.append(Attempt(Task(SECOND.sub("", name)), task.pod_name or task.task_id, 1, state, ""))
    return seen


def label(task: Task, name_of: Callable[[str], str] = lambda run_id: "") -> str:
    """The step, and the candidate that it works on: by name, else by its number in the loop.

    >>> label(Task("open-run")), label(Task("train", 0, "0" * 32), lambda run_id: "lenet-s1"), label(Task("train", 1))
    ('open_run', 'train lenet-s1', 'train 2')
    """
    step = task.step.replace("-", "_")
    if name := task.run_id and name_of(task.run_id):
        return f"{step} {name}"
    return step if task.item is None else f"{step} {task.item + 1}"


def why_lost(found: Iterable[Attempt], name_of: Callable[[str], str] = lambda run_id: "") -> str:
    """Why a run failed: every task whose last attempt did, with its sentence; empty where none did."""
    last = {attempt.key: attempt for attempt in found}
    failed = [attempt for attempt in last.values() if attempt.state == "failed"]
    said = "; ".join(dict.fromkeys(f"{label(attempt.task, name_of)}: {why_failed(attempt)}" for attempt in failed))
    return said if len(said) <= LONGEST_WHY else f"{said[: LONGEST_WHY - 1]}…"


def why_failed(attempt: Attempt) -> str:
    """Why an attempt failed, in one sentence: the step's own, or what Kubernetes says of its pod."""
    step = attempt.task.step
    if attempt.driver:
        return f"its driver failed: {attempt.message or 'no message'}"
    found = ENDED.match(attempt.message)
    if found is None:
        return attempt.message or "no message says why"
    said = (found["said"] or "").strip()
    if found["reason"] == "OOMKilled":
        return f"killed for memory (OOMKilled); raise cluster.steps.{step.replace('-', '_')}.memory_limit"
    if said:
        return said.removeprefix(f"{step}: ").removeprefix(f"{step.replace('-', '_')}: ")
    if found["code"] == "137":
        return "killed (exit code 137), from outside or for memory, without a word"
    return f"ended with exit code {found['code']} without a word; its log says more"


def why_waiting(attempt: Attempt) -> str:
    """Why a pod has not started, where that is more than its images being on their way: no node has room, no image."""
    return "" if attempt.message.startswith(STARTING) else attempt.message


def _bare(node: Mapping[str, Any]) -> str:
    """The display name without attempt and item: `train(0)` is `train`."""
    name = str(node.get("displayName") or "")
    while found := SUFFIX.search(name):
        name = name[: found.start()]
    return name


def _around(nodes: Mapping[str, Mapping[str, Any]], node: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """The nodes around a node, from the nearest on."""
    seen = set()
    while (inside := str(node.get("boundaryID") or "")) in nodes and inside not in seen:
        seen.add(inside)
        node = nodes[inside]
        yield node


def _key(nodes: Mapping[str, Mapping[str, Any]], node: Mapping[str, Any]) -> str:
    """The same for all attempts at a task, those after a retry of the DAGs around it included."""
    path = [_bare(node)]
    for outer in _around(nodes, node):
        item = ITEM.match(str(outer.get("displayName") or ""))
        path.append(f"{_bare(outer)}[{item[1]}]" if item else _bare(outer))
    return "/".join(reversed(path))


def _task(nodes: Mapping[str, Mapping[str, Any]], node: Mapping[str, Any]) -> Task:
    outer = list(_around(nodes, node))
    bare = _bare(node)
    step = bare.removesuffix(DRIVER) if bare != EXECUTOR else (_bare(outer[0]) if outer else bare)
    items = [item for one in outer if (item := ITEM.match(str(one.get("displayName") or "")))]
    return Task(SECOND.sub("", step), int(items[0][1]) if items else None, _candidate(node))


def _candidate(node: Mapping[str, Any]) -> str:
    """The MLflow run of the candidate that a pod works on.

    The driver writes what it resolved, the loop's item included, into the launcher's `--executor_input`, and that into
    the pod's patch, which is an input of the executor's template.
    """
    inputs = (node.get("inputs") or {}).get("parameters") or []
    patch = next((one.get("value") for one in inputs if one.get("name") == "pod-spec-patch"), None)
    try:
        command = json.loads(patch or "")["containers"][0]["command"]
        parameters = json.loads(command[command.index("--executor_input") + 1])["inputs"]["parameterValues"]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
    value = str(parameters.get(CANDIDATE_INPUT) or "")
    return value if RUN_ID.fullmatch(value) else ""
