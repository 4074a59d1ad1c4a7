"""Talks with a Kubeflow Pipelines backend: uploads, starts, schedules and follows runs of the pipeline.

What goes wrong there is said in one sentence (`BadInput`): not reachable, not let in, not a Kubeflow Pipelines API.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3
from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH, ServiceAccountTokenVolumeCredentials

from components.bad_input import BadInput

ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
UNREACHABLE = (urllib3.exceptions.HTTPError, OSError)
PATIENCE = 600.0
"""Seconds for which a backend that stops answering is waited for; the run goes on meanwhile."""


@dataclass(frozen=True)
class Login:
    """How to reach a backend, and who asks.

    Attributes:
        host: address of the Kubeflow Pipelines API; empty inside the cluster, or for kubectl's current context.
        namespace: of the experiment and its runs, on a multi-user Kubeflow; empty on a single-user one.
        token: bearer token; empty for the service account's, mounted in a pod, or for none.
        cookies: of a browser's session, such as Dex gives: `oauth2_proxy_kubeflow=…`.
        authorities: PEM file of certificate authorities; empty for the system's.
    """

    host: str = ""
    namespace: str = ""
    token: str = ""
    cookies: str = ""
    authorities: str = ""


@dataclass(frozen=True)
class Started:
    """A run, or a schedule of runs, as the backend knows it."""

    id: str
    address: str
    pipeline_id: str
    version_id: str
    version: str
    experiment_id: str


class _Client(kfp.Client):
    """kfp's client, which asks for the backend's health once, and leaves no file in the user's home."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        """Once: kfp's own takes 20 seconds to say that nothing answers, hides why, and takes a login page for health.

        Raises:
            ValueError: the answer is not JSON, or not an object.
        """
        answer: Any = self._healthz_api.healthz_service_get_healthz(_preload_content=False)
        said = dict(json.loads(answer.data))
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=said.get("multi_user", False))

    def set_user_namespace(self, namespace: str) -> None:
        """For this client alone: kfp's own writes it to a file, for all later ones."""
        self._context_setting["namespace"] = namespace


class Backend:
    """A Kubeflow Pipelines backend, reached and asked for its health once."""

    def __init__(self, login: Login) -> None:
        """Raises BadInput when it does not answer, does not let us in, or is none."""
        self.login = login
        self.host = login.host or "the backend of the current cluster"
        with self._asking():
            # Typed as Any: what the generated client answers has no types worth the name.
            self.client: Any = self._connect()
            self.namespace = login.namespace or self.client.get_user_namespace() or None
            if self.client.get_kfp_healthz().multi_user and not self.namespace:
                raise BadInput(f"{self.host}: this Kubeflow has many users; say whose with --namespace")

    def upload(self, package: Path, name: str, commit: str) -> tuple[str, str, str]:
        """Brings a compiled pipeline to the backend: as a new version of the pipeline `name`, unless it is there.

        A version's name is the commit and a digest of the file, so the same file is uploaded once.

        Returns:
            The ids of pipeline and version, and the version's name.
        """
        version = f"{commit[:12] or 'no-commit'}-{hashlib.sha256(package.read_bytes()).hexdigest()[:8]}"
        with self._asking():
            pipeline_id = self._find_pipeline(name) or self._make_pipeline(name)
            wanted = _named(version)
            found = self.client.list_pipeline_versions(pipeline_id, filter=wanted).pipeline_versions
            if found:
                return pipeline_id, found[0].pipeline_version_id, version
            made = self.client.upload_pipeline_version(str(package), version, pipeline_id=pipeline_id)
            return pipeline_id, made.pipeline_version_id, version

    def start(
        self,
        name: str,
        experiment: str,
        uploaded: tuple[str, str, str],
        arguments: Mapping[str, Any],
        account: str = "",
    ) -> Started:
        """Starts a run of an uploaded version, under the service account `account` (empty for the namespace's own)."""
        pipeline_id, version_id, version = uploaded
        with self._asking():
            experiment_id = self._experiment(experiment)
            run = self.client.run_pipeline(
                experiment_id,
                name,
                params=dict(arguments),
                pipeline_id=pipeline_id,
                version_id=version_id,
                service_account=account or None,
            )
        address = f"{self._ui}/#/runs/details/{run.run_id}"
        return Started(run.run_id, address, pipeline_id, version_id, version, experiment_id)

    def schedule(
        self,
        name: str,
        experiment: str,
        uploaded: tuple[str, str, str],
        arguments: Mapping[str, Any],
        cron: str,
        account: str = "",
    ) -> Started:
        """Starts runs by a cron expression, one at a time; a schedule of the same name is replaced.

        Args:
            name: of the schedule, and of its runs.
            experiment: that holds them.
            uploaded: what `upload` gave.
            arguments: of the pipeline.
            cron: see `six_fields`.
            account: service account of the runs; empty for the namespace's own.
        """
        pipeline_id, version_id, version = uploaded
        with self._asking():
            experiment_id = self._experiment(experiment)
            before = self.client.list_recurring_runs(experiment_id=experiment_id, filter=_named(name)).recurring_runs
            made = self.client.create_recurring_run(
                experiment_id,
                name,
                cron_expression=six_fields(cron),
                max_concurrency=1,
                no_catchup=True,
                params=dict(arguments),
                pipeline_id=pipeline_id,
                version_id=version_id,
                service_account=account or None,
            )
            for old in before or []:
                self.client.delete_recurring_run(old.recurring_run_id)
        address = f"{self._ui}/#/recurringrun/details/{made.recurring_run_id}"
        return Started(made.recurring_run_id, address, pipeline_id, version_id, version, experiment_id)

    def follow(self, run_id: str, say: Callable[[str], None], every: float = 10.0) -> Outcome:
        """Waits until a run has ended, saying each change of a task's state.

        kfp's own `wait_for_run_completion` waits for ever for a run that was cancelled.

        Args:
            run_id: of the run.
            say: gets one line per change.
            every: seconds between two questions.

        Raises:
            BadInput: we are no longer let in, or nothing answered for ten minutes; the run goes on.
        """
        states: dict[str, str] = {}
        answered = time.monotonic()
        while True:
            try:
                with self._asking():
                    run = self.client.get_run(run_id)
                answered = time.monotonic()
            except Unreachable:
                if time.monotonic() - answered > PATIENCE:
                    raise
                time.sleep(every)
                continue
            for task in _tasks(run):
                if states.get(task.task_id) != task.state and task.state not in (None, "PENDING"):
                    states[task.task_id] = task.state
                    say(f"{task.display_name}: {task.state.lower()}")
            if run.state in ENDED:
                return Outcome(run.state, _why(run))
            time.sleep(every)

    def outcome_of(self, run_id: str) -> Outcome | None:
        """How a run ended; None while it runs, and for one that this backend does not know."""
        try:
            run: Any = self.client.get_run(run_id)
        except (kfp_server_api.ApiException, *UNREACHABLE):
            return None
        return Outcome(run.state, _why(run)) if run.state in ENDED else None

    def _connect(self) -> Any:
        mounted = Path(os.environ.get(KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH))
        in_pod = self.login.host and not (self.login.token or self.login.cookies) and mounted.exists()
        with _quiet():
            client: Any = _Client(
                host=self.login.host or None,
                existing_token=self.login.token or None,
                cookies=self.login.cookies or None,
                ssl_ca_cert=self.login.authorities or None,
                credentials=ServiceAccountTokenVolumeCredentials(str(mounted)) if in_pod else None,
            )
        self._api_client = client._run_api.api_client  # the only way to an API that the client does not wrap
        if self._api_client.configuration.host in ("", "http://localhost") and not self.login.host:
            raise BadInput(
                "no Kubeflow: this is no pod of a cluster, and kubectl has no context; give --host, such as "
                "a forwarded port: kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"
            )
        return client

    @property
    def _ui(self) -> str:
        return (self.login.host or "").rstrip("/")

    def _find_pipeline(self, name: str) -> str | None:
        found = self.client.list_pipelines(filter=_named(name), namespace=self.namespace).pipelines
        return found[0].pipeline_id if found else None

    def _make_pipeline(self, name: str) -> str:
        """The client's own upload would give the first version the pipeline's name instead of the commit's."""
        api: Any = kfp_server_api.PipelineServiceApi(self._api_client)
        pipeline = kfp_server_api.V2beta1Pipeline(
            name=name,
            display_name=name,
            description="from a CSV of faces to registered models and a verdict",
            namespace=self.namespace,
        )
        return api.pipeline_service_create_pipeline(pipeline).pipeline_id

    def _experiment(self, name: str) -> str:
        return self.client.create_experiment(name, namespace=self.namespace).experiment_id

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Turns what can go wrong with a question into one sentence."""
        try:
            with _quiet():
                yield
        except kfp_server_api.ApiException as error:
            raise self._sentence(error) from None
        except UNREACHABLE as error:
            reason = getattr(error, "reason", error)
            raise Unreachable(
                f"{self.host}: does not answer ({_short(str(reason))}); check --host and the network"
            ) from None
        except (ValueError, TypeError, AttributeError) as error:
            # A login page, or some other server, answers 200 with something that the client cannot read.
            raise BadInput(
                f"{self.host}: answers, but not as a Kubeflow Pipelines API ({_short(str(error))}); "
                "check --host, and log in with --token-file or --cookies-file if it shows a login page"
            ) from None

    def _sentence(self, error: kfp_server_api.ApiException) -> BadInput:
        said = _short(_message(error))
        if error.status == 401:
            return BadInput(
                f"{self.host}: we are not let in ({said}); give a token that has not expired with --token-file or "
                "KFP_TOKEN, or a session's cookies with --cookies-file"
            )
        if error.status == 403:
            return BadInput(
                f"{self.host}: not allowed ({said}); ask for the rights that docs/kubeflow.md lists, or give another "
                "--namespace"
            )
        if error.status == 404:
            return BadInput(
                f"{self.host}: no such thing there ({said}); check --host, its path, and that it is Kubeflow Pipelines "
                "2.17 or later"
            )
        if error.status in (502, 503, 504):
            return Unreachable(
                f"{self.host}: its gateway answers {error.status}, the API behind it does not; try again"
            )
        return BadInput(f"{self.host}: refused with status {error.status}: {said}")


class Unreachable(BadInput):
    """Nothing answers; it may again."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: SUCCEEDED, FAILED, SKIPPED or CANCELED; and why, if it says."""

    state: str
    why: str


def six_fields(cron: str) -> str:
    """A cron expression in Kubeflow's form, which begins with the seconds; the usual five fields are taken too.

    >>> six_fields("30 4 * * 1")
    '0 30 4 * * 1'

    Raises:
        BadInput: it has neither five nor six fields.
    """
    if cron.startswith("@"):
        return cron
    fields = cron.split()
    if len(fields) not in (5, 6):
        raise BadInput(
            f"--cron: {cron!r} has {len(fields)} fields; write minute hour day month weekday, such as '30 4 * * 1'"
        )
    return " ".join(["0", *fields] if len(fields) == 5 else fields)


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _tasks(run: Any) -> list[Any]:
    """The steps of a run, without the drivers that prepare them."""
    tasks = (run.run_details.task_details if run.run_details else None) or []
    return [task for task in tasks if task.display_name and not task.display_name.endswith("driver")]


def _why(run: Any) -> str:
    said = [run.error.message] if run.error and run.error.message else []
    said += [
        f"{task.display_name}: {task.error.message if task.error and task.error.message else 'failed'}"
        for task in _tasks(run)
        if task.state == "FAILED"
    ]
    return _short("; ".join(dict.fromkeys(said)), 500)


def _message(error: kfp_server_api.ApiException) -> str:
    """What the backend says for people, out of the JSON that it answers with."""
    try:
        answer = json.loads(error.body or "")
        return answer.get("error_message") or answer.get("message") or answer.get("error") or str(error.reason)
    except (TypeError, ValueError, AttributeError):
        return str(error.reason)


def _short(text: str, longest: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the links that kfp's client prints, its warnings about itself, and urllib3's of every further try."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
