"""The nodes of an Argo Workflow, as the Kubeflow backend's compiler and Argo make them of this pipeline's steps.

Written from what a real backend answered (Kubeflow Pipelines 2.17, Argo Workflows 4.0; issue 13) and from their source:
templates and names from backend/src/v2/compiler/argocompiler (dag.go, container.go), the pod's patch from
backend/src/v2/driver/driver.go, node names, boundaries and messages from Argo's workflow/controller/operator.go
(`initializeExecutableNode`, `processNodeRetries`, `inferFailedReason`).
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WORKFLOW = "facial-expression-x7k2p"
LOOPS = {"train": "for-loop-2", "evaluate": "for-loop-3"}
Steps = Mapping[str, str | Sequence[str]]
"""By step, `train[0]` in the loop: its attempts' phases, with their messages, such as
["Failed: main: Error (exit code 1): train: no room", "Running"]; `Cached`; `train-driver[0]` for its driver."""


@dataclass
class Nodes:
    """Makes the nodes of one Workflow.

    Attributes:
        retried: whether Argo is set up as Kubeflow 2.17 sets it up, with a retry around every template: each node is
            then a Retry, and `…(0)` its first attempt.
        run_ids: MLflow runs of the loop's items.
    """

    retried: bool = True
    run_ids: Sequence[str] = ()
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, steps: Steps) -> dict[str, dict[str, Any]]:
        """The nodes, by id, of a run whose steps stand so."""
        self.nodes = {}
        whole = self._dag(WORKFLOW, None, "entrypoint")
        self._pod("root-driver", whole, "system-dag-driver", ["Succeeded"])
        root = self._dag("root", whole, "root")
        self._pod("exit-handler-1-driver", root, "system-dag-driver", ["Succeeded"])
        body = self._dag("exit-handler-1", root, "comp-exit-handler-1")
        loops: dict[str, str] = {}
        items: dict[tuple[str, int], str] = {}
        for step, attempts in steps.items():
            attempts = [attempts] if isinstance(attempts, str) else list(attempts)
            found = re.fullmatch(r"(?P<step>[\w-]+?)(?P<driver>-driver)?(?:\[(?P<item>\d+)\])?", step)
            assert found, step
            around, run_id = body, ""
            if found["step"] == "close-run":
                around = self._dag("exit-handler-1.onExit", root, "exit-hook-root-close-run")
            elif found["item"]:
                name, item = LOOPS[found["step"]], int(found["item"])
                loops[name] = loops.get(name) or self._loop(name, body)
                around = items[name, item] = items.get((name, item)) or self._item(loops[name], name, item)
                run_id = self.run_ids[item] if item < len(self.run_ids) else ""
            self._step(found["step"], around, attempts, bool(found["driver"]), run_id)
        return self.nodes

    def _loop(self, name: str, around: str) -> str:
        loop = self._dag(name, around, f"comp-{name}-{name}-iterator")
        self._pod("iteration-driver", loop, "system-dag-driver", ["Succeeded"])
        self._add("iteration-iterations", loop, "TaskGroup", "", "Running")
        return loop

    def _item(self, loop: str, name: str, number: int) -> str:
        inputs = {"parent-dag-id": "7", "iteration-index": str(number)}
        group = self._dag(f"iteration-iterations({number}:{number})", loop, f"comp-{name}-iteration", inputs)
        self._pod("iteration-item-driver", group, "system-dag-driver", ["Succeeded"], inputs)
        return self._dag("iteration-item", group, f"comp-{name}", {"parent-dag-id": "8", "condition": ""})

    def _step(self, step: str, around: str, attempts: list[str], driver: bool, run_id: str) -> None:
        name = f"{step}-driver"
        self._pod(name, around, "system-container-driver", attempts if driver else ["Succeeded"])
        if driver:
            self._add(step, around, "Skipped", "", "Omitted", "omitted: depends condition not met")
            return
        inputs = {"pod-spec-patch": pod_spec_patch(run_id), "cached-decision": str(attempts == ["Cached"]).lower()}
        phase = attempts[-1].partition(":")[0].replace("Cached", "Succeeded").replace("Pending", "Running")
        dag = self._dag(step, around, "retry-system-container-executor", inputs, phase)
        if attempts == ["Cached"]:
            self._add("executor", dag, "Skipped", "", "Skipped", "when 'true != true' evaluated false")
        else:
            self._pod("executor", dag, "retry-system-container-impl", attempts, inputs, retries=True)

    def _dag(
        self,
        name: str,
        around: str | None,
        template: str,
        inputs: Mapping[str, str] | None = None,
        phase: str = "Running",
    ) -> str:
        if not self.retried:
            return self._add(name, around, "DAG", template, phase, inputs=inputs)
        outer = self._add(name, around, "Retry", template, phase, inputs=inputs)
        return self._add(f"{name}(0)", around, "DAG", template, phase, inputs=inputs, under=outer)

    def _pod(
        self,
        name: str,
        around: str,
        template: str,
        attempts: Sequence[str],
        inputs: Mapping[str, str] | None = None,
        retries: bool = False,
    ) -> None:
        if not (self.retried or retries):
            [attempt] = attempts
            self._attempt(name, around, template, attempt, inputs, "")
            return
        last = attempts[-1].partition(":")[0]
        outer = self._add(
            name, around, "Retry", template, last, "No more retries left" if last == "Failed" else "", inputs=inputs
        )
        for number, attempt in enumerate(attempts):
            self._attempt(f"{name}({number})", around, template, attempt, inputs, outer)

    def _attempt(
        self, name: str, around: str, template: str, attempt: str, inputs: Mapping[str, str] | None, under: str
    ) -> None:
        phase, _, message = attempt.partition(": ")
        self._add(name, around, "Pod", template, phase, message, inputs, under)

    def _add(
        self,
        display: str,
        around: str | None,
        kind: str,
        template: str,
        phase: str,
        message: str = "",
        inputs: Mapping[str, str] | None = None,
        under: str = "",
    ) -> str:
        path = f"{self.nodes[around]['name']}.{display}" if around else display
        node_id = WORKFLOW if path == WORKFLOW else f"{WORKFLOW}-{zlib.crc32(path.encode())}"
        if node_id in self.nodes:
            return node_id
        node: dict[str, Any] = {
            "id": node_id,
            "name": path,
            "displayName": display,
            "type": kind,
            "templateName": template,
            "templateScope": f"local/{WORKFLOW}",
            "phase": phase,
            "startedAt": f"2026-11-25T08:{len(self.nodes) // 60:02d}:{len(self.nodes) % 60:02d}Z",
            "finishedAt": None if phase in ("Running", "Pending") else "2026-11-25T09:00:00Z",
            "progress": "0/1",
        }
        node |= {"boundaryID": around} if around else {}
        node |= {"message": message} if message else {}
        if inputs:
            node["inputs"] = {"parameters": [{"name": name, "value": value} for name, value in inputs.items()]}
        self.nodes[node_id] = node
        if parent := under or around:
            self.nodes[parent].setdefault("children", []).append(node_id)
        return node_id


def pod_spec_patch(run_id: str) -> str:
    """What the driver hands the executor: the launcher's command, with the step's resolved inputs in it."""
    inputs = {"parameterValues": {"run_id": run_id, "tracking_uri": "http://mlflow.mlflow.svc:5000"}}
    command = ["/kfp-launcher/launch", "--executor_type", "container", "--run_id", "4711", "--executor_input"]
    command += [
        json.dumps({"inputs": inputs, "outputs": {"outputFile": "/tmp/kfp_outputs"}}),
        "--component_spec",
        "{}",
        "--",
    ]
    return json.dumps({"containers": [{"name": "main", "command": command, "args": ["sh", "-c", "…"]}]})
