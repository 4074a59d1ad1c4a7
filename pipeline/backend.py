"""Talks with a Kubeflow Pipelines backend: uploads the pipeline, starts and schedules its runs.

What goes wrong there is said in one sentence (pipeline/connection.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import yaml

from ferkit.errors import UserError
from pipeline.connection import Login, api_client_of, asking, connect

ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")


@dataclass(frozen=True)
class Request:
    """What a run, or every run of a schedule, is started with.

    Attributes:
        name: of the run, or of the schedule and its runs.
        experiment: Kubeflow's and MLflow's, which have the same name.
        arguments: of the pipeline.
        account: service account of the pods; empty for the namespace's own.
        adopts: whether the run goes on in an MLflow run of its own choosing, so that the backend's MLflow plugin,
            where there is one, must not open another.
    """

    name: str
    experiment: str
    arguments: Mapping[str, Any]
    account: str = ""
    adopts: bool = False


@dataclass(frozen=True)
class Started:
    """A run, or a schedule of runs, as the backend knows it."""

    id: str
    address: str
    pipeline_id: str
    version_id: str
    version: str
    experiment_id: str


class Backend:
    """A Kubeflow Pipelines backend, connected to, and checked for its health once."""

    def __init__(self, login: Login, warn: Callable[[str], None] = lambda line: None) -> None:
        """Raises UserError when it does not answer, does not let us in, or is none.

        Args:
            login: how to reach it.
            warn: called with a sentence for each setting that the backend ignores.
        """
        self.login, self.warn = login, warn
        self.host = login.host or "the backend of the current cluster"
        with asking(self.host):
            self.client: Any = connect(login)
            self.api_client = api_client_of(self.client)
            self.namespace = login.namespace or self.client.get_user_namespace() or None
            many_users = self.client.get_kfp_healthz().multi_user
        if many_users and not self.namespace:
            raise UserError(f"{self.host}: this Kubeflow has many users; say whose with --namespace")
        if not many_users and self.namespace:
            if login.namespace:
                warn(
                    f"--namespace {login.namespace}: ignored, for this Kubeflow has one user: its runs are in the "
                    "namespace that it is installed in, and find their Secrets and volumes there"
                )
            self.namespace = None

    def upload(self, package: Path, name: str, commit: str) -> tuple[str, str, str]:
        """Brings a compiled pipeline to the backend: as a new version of the pipeline `name`, unless it is there.

        A version's name is the commit and `digest_of` the file, so the same pipeline is uploaded once.

        Returns:
            The ids of pipeline and version, and the version's name.
        """
        version = f"{commit[:12] or 'no-commit'}-{digest_of(package)}"
        with asking(self.host):
            pipeline_id = self._find_pipeline(name) or self._make_pipeline(name)
            wanted = _where(display_name=version)
            found = self.client.list_pipeline_versions(pipeline_id, filter=wanted).pipeline_versions
            if found:
                return pipeline_id, found[0].pipeline_version_id, version
            made = self.client.upload_pipeline_version(str(package), version, pipeline_id=pipeline_id)
            return pipeline_id, made.pipeline_version_id, version

    def start(self, request: Request, uploaded: tuple[str, str, str]) -> Started:
        """Starts a run of an uploaded version."""
        with asking(self.host):
            body = self._body(request, uploaded)
            service: Any = kfp_server_api.RunServiceApi(self.api_client)
            run = service.run_service_create_run(kfp_server_api.V2beta1Run(**body))
        address = f"{self._ui}/#/runs/details/{run.run_id}"
        return Started(run.run_id, address, *uploaded, body["experiment_id"])

    def schedule(self, request: Request, uploaded: tuple[str, str, str], cron: str) -> Started:
        """Starts runs by a cron expression, one at a time; a schedule of the same name is replaced.

        The old one is disabled. It is deleted when none of its runs is active, now or when the next one takes the name:
        the Workflows of its runs belong to it, so Kubernetes ends them with it, and neither exit handler nor Kubeflow
        would hear of that.

        Args:
            request: what its runs are started with.
            uploaded: what `upload` returned.
            cron: see `six_fields`.
        """
        service: Any = kfp_server_api.RecurringRunServiceApi(self.api_client)
        with asking(self.host):
            body = self._body(request, uploaded)
            named = _where(display_name=request.name)
            before = self.client.list_recurring_runs(
                experiment_id=body["experiment_id"], page_size=100, filter=named
            ).recurring_runs
            schedule = kfp_server_api.V2beta1RecurringRun(
                **body,
                mode=kfp_server_api.RecurringRunMode.ENABLE,
                max_concurrency=1,
                no_catchup=True,
                trigger=kfp_server_api.V2beta1Trigger(
                    cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=six_fields(cron))
                ),
            )
            made = service.recurring_run_service_create_recurring_run(schedule)
            for old in before or []:
                self._retire(old)
        address = f"{self._ui}/#/recurringrun/details/{made.recurring_run_id}"
        return Started(made.recurring_run_id, address, *uploaded, body["experiment_id"])

    def _retire(self, old: Any) -> None:
        self.client.disable_recurring_run(old.recurring_run_id)
        active = self._active_runs(old)
        if not active:
            self.client.delete_recurring_run(old.recurring_run_id)
            return
        self.warn(
            f"schedule {old.display_name}: the one before is disabled; it is kept, for deleting it would end its run "
            f"{', '.join(active)}, and goes with the next --cron of this name after that has ended"
        )

    def _active_runs(self, schedule: Any) -> list[str]:
        active, token = [], ""
        while True:
            page = self.client.list_runs(
                page_token=token,
                page_size=100,
                experiment_id=schedule.experiment_id,
                filter=_where(recurring_run_id=schedule.recurring_run_id),
            )
            active += [run.run_id for run in page.runs or [] if (run.state or "") not in ENDED]
            token = page.next_page_token or ""
            if not token:
                return active

    def _body(self, request: Request, uploaded: tuple[str, str, str]) -> dict[str, Any]:
        """What a run and a schedule have in common, as fields of their models."""
        pipeline_id, version_id, _ = uploaded
        experiment_id = self.client.create_experiment(request.experiment, namespace=self.namespace).experiment_id
        # Ignored by a backend without the plugin.
        mlflow = {"disabled": True} if request.adopts else {"experiment_name": request.experiment}
        return {
            "experiment_id": experiment_id,
            "display_name": request.name,
            "pipeline_version_reference": kfp_server_api.V2beta1PipelineVersionReference(
                pipeline_id=pipeline_id, pipeline_version_id=version_id
            ),
            "runtime_config": kfp_server_api.V2beta1RuntimeConfig(parameters=dict(request.arguments)),
            "service_account": request.account or None,
            "plugins_input": {"mlflow": mlflow},
        }

    @property
    def _ui(self) -> str:
        return (self.login.host or "").rstrip("/")

    def _find_pipeline(self, name: str) -> str | None:
        found = self.client.list_pipelines(filter=_where(display_name=name), namespace=self.namespace).pipelines
        return found[0].pipeline_id if found else None

    def _make_pipeline(self, name: str) -> str:
        """The client's own upload would name the first version after the pipeline, not the commit."""
        api: Any = kfp_server_api.PipelineServiceApi(self.api_client)
        pipeline = kfp_server_api.V2beta1Pipeline(
            name=name,
            display_name=name,
            description="from a CSV of faces to registered models and a verdict",
            namespace=self.namespace,
        )
        return api.pipeline_service_create_pipeline(pipeline).pipeline_id


def digest_of(package: Path) -> str:
    """A digest of a compiled pipeline, eight hex digits: of what it says, not of its bytes.

    kfp writes the parameters' defaults into comment lines, in an order that differs from process to process.
    """
    with package.open() as file:
        documents = list(yaml.load_all(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    canonical = json.dumps(documents, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def six_fields(cron: str) -> str:
    """A cron expression in Kubeflow's form, which begins with the seconds; the usual five fields are taken too.

    >>> six_fields("30 4 * * 1")
    '0 30 4 * * 1'

    Raises:
        UserError: it has neither five nor six fields.
    """
    if cron.startswith("@"):
        return cron
    fields = cron.split()
    if len(fields) not in (5, 6):
        raise UserError(
            f"--cron: {cron!r} has {len(fields)} fields; write minute hour day month weekday, such as '30 4 * * 1'"
        )
    return " ".join(["0", *fields] if len(fields) == 5 else fields)


def _where(**equals: str) -> str:
    predicates = [{"operation": "EQUALS", "key": key, "stringValue": value} for key, value in equals.items()]
    return json.dumps({"predicates": predicates})
