"""A server that answers as Kubeflow Pipelines' API does (/apis/v2beta1), for the real client to talk to.

The answers are made of `kfp_server_api`'s models, so their shapes are those of the API's own definition. It keeps
what it is sent, checks a bearer token, refuses a second pipeline or version of the same name, and plays runs through
the states that a test gives it.
"""

from __future__ import annotations

import json
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

TO_JSON = models.ApiClient().sanitize_for_serialization
WHEN = datetime(2026, 1, 1, tzinfo=UTC)
SUCCEEDING = [
    ("RUNNING", {"locate": "RUNNING"}),
    ("RUNNING", {"locate": "SUCCEEDED", "ingest": "RUNNING"}),
    ("SUCCEEDED", {"locate": "SUCCEEDED", "ingest": "SUCCEEDED"}),
]


@dataclass
class KubeflowApi:
    """What the server holds.

    Attributes:
        token: the bearer token it wants; empty for none.
        multi_user: whether experiments need a namespace.
        play: for each look at a run, (its state, its tasks' states); the last one stays.
        error: the message of the failed run.
        broken: (method, path's end) -> (status, body) instead of an answer.
    """

    token: str = ""
    multi_user: bool = False
    play: list[tuple[str, dict[str, str]]] = field(default_factory=lambda: list(SUCCEEDING))
    error: str = ""
    broken: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    pipelines: list[Any] = field(default_factory=list)
    versions: list[Any] = field(default_factory=list)
    experiments: list[Any] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)
    recurring_runs: list[Any] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    host: str = ""

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes, content_type: str) -> Any:
        """The model, or the list of models, that answers a request; LookupError or FileExistsError as the API would."""
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
                return _add(self.experiments, models.V2beta1Experiment, body, "experiment_id")
            case ["POST", "runs"]:
                return _add(self.runs, models.V2beta1Run, body, "run_id")
            case ["GET", "runs", run]:
                return self._played(next(one for one in self.runs if one.run_id == run))
            case ["GET", "recurringruns"]:
                return models.V2beta1ListRecurringRunsResponse(
                    recurring_runs=_filtered(self.recurring_runs, query) or None
                )
            case ["POST", "recurringruns"]:
                return _add(self.recurring_runs, models.V2beta1RecurringRun, body, "recurring_run_id", unique=False)
            case ["DELETE", "recurringruns", schedule]:
                self.recurring_runs = [one for one in self.recurring_runs if one.recurring_run_id != schedule]
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

    def _played(self, run: Any) -> Any:
        state, tasks = self.play[0]
        if len(self.play) > 1:
            del self.play[0]
        details = [
            models.V2beta1PipelineTaskDetail(
                run_id=run.run_id,
                task_id=name,
                display_name=name,
                state=of_task,
                start_time=WHEN,
                error=models.GoogleRpcStatus(code=13, message=self.error) if of_task == "FAILED" else None,
            )
            for name, of_task in {**tasks, "ingest-driver": "SUCCEEDED"}.items()
        ]
        run.state = state
        run.run_details = models.V2beta1RunDetails(task_details=details)
        return run


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
    assert predicate["key"] == "display_name"
    return [one for one in found if one.display_name == predicate["stringValue"]]


@contextmanager
def serving(api: KubeflowApi) -> Iterator[KubeflowApi]:
    """Serves `api` at `api.host` for the block."""

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            api.cookies.append(self.headers.get("Cookie") or "")
            for (method, end), (status, text) in list(api.broken.items()):
                if method == self.command and re.search(end, url.path):
                    return self._say(status, text.encode(), "text/html" if text.startswith("<") else "application/json")
            if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
                return self._refuse(401, 16, "Request header error: there is no user identity header: Unauthenticated")
            try:
                made = api.answer(self.command, url.path, query, body, self.headers.get("Content-Type") or "")
            except LookupError:
                return self._refuse(404, 5, "Not Found")
            except FileExistsError as error:
                return self._refuse(409, 6, str(error))
            except ValueError as error:
                return self._refuse(400, 3, str(error))
            return self._say(200, json.dumps(TO_JSON(made)).encode())

        def _refuse(self, status: int, code: int, message: str) -> None:
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
