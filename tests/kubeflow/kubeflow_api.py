"""A server that answers as Kubeflow Pipelines' API does (/apis/v2beta1, and runs of /apis/v1beta1).

It keeps what it is sent, checks a bearer token, refuses a second pipeline or version of the same name, and plays runs
through the looks that a test passes to it. Runs are answered as a real backend was seen to answer (Kubeflow Pipelines
2.17, Argo Workflows 4.0; issue 13):

- `task_details` are all of Argo's nodes (argo_nodes.py), in no order, some without a state; the first look has none;
- neither a run nor a task ever has an `error`: why a step failed is in v1beta1's `workflow_manifest` alone;
- a run that was terminated is FAILED, after CANCELING in its `state_history`;
- one user: a namespace is ignored;
- a schedule that is deleted takes its runs' Workflows along, and these runs stay RUNNING for ever;
- refusals come with a stack in brackets before the reason.

Runs are written out as JSON: made of `kfp_server_api`'s models, every field would be there, with a value that they
allow. Everything else is made of these models, whose shapes are those of the API's own definition.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as models
import yaml
from argo_nodes import WORKFLOW, Nodes, Steps

TO_JSON = models.ApiClient().sanitize_for_serialization
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
TASK_STATES = {"Error": "FAILED", "Omitted": None}
STACK = "[github.com/kubeflow/pipelines/backend/src/common/util.NewInvalidInputError /go/src/backend/error.go:185 " + (
    "github.com/kubeflow/pipelines/backend/src/apiserver/server.(*RunServer).CreateRun /go/src/run_server.go:530 " * 3
)


@dataclass(frozen=True)
class Played:
    """What one look at a run finds.

    Attributes:
        state: the run's.
        steps: how they stand; None for a run that Argo has not begun.
        message: what the Workflow says as a whole.
        meanwhile: states that the run had since the look before, and has no more.
    """

    state: str
    steps: Steps | None = None
    message: str = ""
    meanwhile: tuple[str, ...] = ()


SUCCEEDING = [
    Played("PENDING"),
    Played("RUNNING", {"locate": "Running"}),
    Played("RUNNING", {"locate": "Succeeded", "ingest": "Running"}),
    Played("SUCCEEDED", {"locate": "Succeeded", "ingest": "Succeeded", "close-run": "Succeeded"}),
]


@dataclass
class KubeflowApi:
    """What the server holds.

    Attributes:
        token: the bearer token it wants; empty for none.
        multi_user: whether experiments need a namespace.
        play: what each look at a run finds; the last one stays.
        nodes: how Argo is set up, and the candidates of the loop.
        packed: whether Argo compresses its nodes, as it does above a megabyte.
        broken: (method, path's end) -> (status, body) instead of an answer.
    """

    token: str = ""
    multi_user: bool = False
    play: list[Played] = field(default_factory=lambda: list(SUCCEEDING))
    nodes: Nodes = field(default_factory=Nodes)
    packed: bool = False
    broken: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    pipelines: list[Any] = field(default_factory=list)
    versions: list[Any] = field(default_factory=list)
    experiments: list[Any] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    recurring_runs: list[Any] = field(default_factory=list)
    histories: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, Played] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    host: str = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, content_type: str) -> Any:
        """The model, or the list of models, that answers a request; LookupError or FileExistsError as the API would."""
        if path.startswith("/apis/v1beta1/"):
            return self._manifest(path.removeprefix("/apis/v1beta1/runs/"))
        parts = path.removeprefix("/apis/v2beta1/").split("/")
        match [method, *parts]:
            case ["GET", "healthz"]:
                return models.V2beta1GetHealthzResponse(multi_user=self.multi_user)
            case ["GET", "pipelines"]:
                return models.V2beta1ListPipelinesResponse(pipelines=_filtered(self.pipelines, query) or None)
            case ["POST", "pipelines"]:
                return _add(self.pipelines, models.V2beta1Pipeline, body, "pipeline_id")
            case ["GET", "pipelines", pipeline, "versions"]:
                of_it = [version for version in self.versions if version.pipeline_id == pipeline]
                return models.V2beta1ListPipelineVersionsResponse(pipeline_versions=_filtered(of_it, query) or None)
            case ["POST", "pipelines", "upload_version"]:
                return self._upload(query, body, content_type)
            case ["GET", "experiments"]:
                if self.multi_user and not query.get("namespace"):
                    raise ValueError("Invalid input error: A resource reference must be specified in multi-user mode")
                return models.V2beta1ListExperimentsResponse(experiments=_filtered(self.experiments, query) or None)
            case ["POST", "experiments"]:
                made = _add(self.experiments, models.V2beta1Experiment, body, "experiment_id")
                made.namespace = made.namespace if self.multi_user else ""
                return made
            case ["POST", "runs"]:
                return _add(self.runs, models.V2beta1Run, body, "run_id")
            case ["GET", "runs"]:
                return models.V2beta1ListRunsResponse(runs=_filtered(self.runs, query) or None)
            case ["GET", "runs", run]:
                return self._played(self._run(run))
            case ["GET", "recurringruns", schedule]:
                return self._schedule(schedule)
            case ["GET", "recurringruns"]:
                return models.V2beta1ListRecurringRunsResponse(
                    recurring_runs=_filtered(self.recurring_runs, query) or None
                )
            case ["POST", "recurringruns"]:
                return _add(self.recurring_runs, models.V2beta1RecurringRun, body, "recurring_run_id", unique=False)
            case ["POST", "recurringruns", asked] if asked.endswith(":disable"):
                self._schedule(asked.removesuffix(":disable")).mode = "DISABLE"
                return {}
            case ["DELETE", "recurringruns", schedule]:
                self.recurring_runs.remove(self._schedule(schedule))
                return {}
        raise LookupError(f"{method} {path}")

    def _upload(self, query: dict[str, str], body: bytes, content_type: str) -> Any:
        message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
        file = next(part for part in message.iter_parts() if part.get_filename())
        payload: Any = file.get_payload(decode=True)
        documents = list(yaml.safe_load_all(payload))
        if any(version.display_name == query["name"] for version in self.versions):
            raise FileExistsError(f"Already exist error: The pipeline version {query['name']} already exists")
        version = models.V2beta1PipelineVersion(
            pipeline_id=query["pipelineid"],
            pipeline_version_id=str(uuid.uuid4()),
            name=query["name"],
            display_name=query["name"],
            created_at=WHEN,
            pipeline_spec={"pipeline_spec": documents[0], "platform_spec": documents[1]},
        )
        self.versions.append(version)
        return version

    def _run(self, run_id: str) -> Any:
        if found := [one for one in self.runs if one.run_id == run_id]:
            return found[0]
        raise LookupError(f"run {run_id} not found")

    def _schedule(self, schedule_id: str) -> Any:
        if found := [one for one in self.recurring_runs if one.recurring_run_id == schedule_id]:
            return found[0]
        raise LookupError(f"recurring run {schedule_id} not found")

    def _played(self, run: Any) -> dict[str, Any]:
        gone = run.recurring_run_id and run.recurring_run_id not in [
            one.recurring_run_id for one in self.recurring_runs
        ]
        play = Played("RUNNING") if gone else self.play[0]
        if not gone and len(self.play) > 1:
            del self.play[0]
        self.last[run.run_id] = play
        history = self.histories.setdefault(run.run_id, [])
        history += [state for state in (*play.meanwhile, play.state) if history[-1:] != [state]]
        run.state = play.state
        answer: dict[str, Any] = dict(TO_JSON(run))  # type: ignore[arg-type]
        answer |= {
            "state": play.state,
            "state_history": [{"update_time": "2026-11-25T08:00:00Z", "state": state} for state in history],
        }
        if play.steps is not None:
            answer["run_details"] = {"task_details": self._task_details(run.run_id, self.nodes.of(play.steps))}
        return answer

    def _task_details(self, run_id: str, nodes: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        details = []
        for node in nodes.values():
            state = TASK_STATES.get(node["phase"], node["phase"].upper())
            pod = (
                WORKFLOW if node["id"] == WORKFLOW else f"{WORKFLOW}-{node['templateName']}-{node['id'].split('-')[-1]}"
            )
            details.append(
                {
                    "run_id": run_id,
                    "task_id": str(uuid.uuid5(uuid.NAMESPACE_URL, node["id"])),
                    "display_name": node["displayName"],
                    "create_time": "2026-11-25T08:00:00Z",
                    "start_time": node["startedAt"],
                    "end_time": node["finishedAt"] or "0001-01-01T00:00:00Z",
                    "pod_name": pod,
                    "child_tasks": [{"pod_name": child} for child in node.get("children", [])],
                }
                | ({"state": state} if state else {})
            )
        random.Random(run_id).shuffle(details)
        return details

    def _manifest(self, run_id: str) -> dict[str, Any]:
        run = self._run(run_id)
        play = self.last.get(run_id, Played("PENDING"))
        nodes = self.nodes.of(play.steps) if play.steps is not None else {}
        status: dict[str, Any] = {"phase": "Running", "nodes": nodes} | (
            {"message": play.message} if play.message else {}
        )
        if self.packed:
            del status["nodes"]
            status["compressedNodes"] = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
        manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {}, "status": status}
        runtime = {"workflow_manifest": json.dumps(manifest)} if play.steps is not None else {}
        return {"run": {"id": run_id, "name": run.display_name, "status": "Running"}, "pipeline_runtime": runtime}


def _add(there: list[Any], kind: type, body: bytes, key: str, unique: bool = True) -> Any:
    given = json.loads(body)
    if unique and kind is not models.V2beta1Run and any(one.display_name == given["display_name"] for one in there):
        raise FileExistsError(f"Already exist error: {given['display_name']} already exists")
    made = kind(**{name: given[name] for name in given if name in kind.openapi_types})
    setattr(made, key, str(uuid.uuid4()))
    made.created_at = WHEN
    there.append(made)
    return made


def _filtered(found: list[Any], query: dict[str, str]) -> list[Any]:
    if "filter" not in query:
        return found
    [predicate] = json.loads(query["filter"])["predicates"]
    assert predicate["operation"] in ("EQUALS", 1)  # protobuf takes a name and its number
    assert predicate["key"] in ("display_name", "recurring_run_id")
    return [one for one in found if getattr(one, predicate["key"]) == predicate["stringValue"]]


@contextmanager
def serving(api: KubeflowApi) -> Iterator[KubeflowApi]:
    """Serves `api` at `api.host` for the block."""

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            api.asked.append(f"{self.command} {url.path}")
            api.cookies.append(self.headers.get("Cookie") or "")
            for (method, end), (status, text) in list(api.broken.items()):
                if method == self.command and re.search(end, url.path):
                    return self._say(status, text.encode(), "text/html" if text.startswith("<") else "application/json")
            if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
                return self._refuse(401, 16, "Request header error: there is no user identity header: Unauthenticated")
            try:
                made = api.answer(self.command, url.path, query, body, self.headers.get("Content-Type") or "")
            except LookupError as error:
                return self._refuse(404, 5, f"ResourceNotFoundError: {error}")
            except FileExistsError as error:
                return self._refuse(409, 6, str(error))
            except ValueError as error:
                return self._refuse(400, 3, str(error))
            except RuntimeError as error:
                return self._refuse(500, 13, str(error))
            return self._say(200, json.dumps(TO_JSON(made)).encode())

        def _refuse(self, status: int, code: int, message: str) -> None:
            message = f"Failed to do what was asked: {STACK}]: {message}"
            answer = {"error": message, "code": code, "message": message, "details": []}
            self._say(status, json.dumps(answer).encode())

        def _say(self, status: int, body: bytes, content_type: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the terminal."""

        do_GET = do_POST = do_DELETE = _take

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.host = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
