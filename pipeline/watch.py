"""Looks at runs on Kubeflow, and follows one to its end with a line for each step and candidate, as a local run has."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import kfp_server_api

from pipeline.argo import Attempt, attempts, label, nodes_of, steps_seen, why_failed, why_lost, why_waiting
from pipeline.backend import ENDED, Backend
from pipeline.connection import UNREACHABLE, Unreachable, asking
from pipeline.orphans import Candidates

PATIENCE = 600.0
"""Seconds for which a backend that stops answering is waited for; the run goes on meanwhile."""


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: SUCCEEDED, FAILED, SKIPPED or CANCELED; and why, if it failed and the backend says."""

    state: str
    why: str


@dataclass(frozen=True)
class Look:
    """A run as it stands.

    Attributes:
        state: the backend's word for it: PENDING, RUNNING, CANCELING, …
        outcome: how it ended, by one of `ENDED`; None while it runs.
        attempts: at its steps.
        message: what the Workflow says as a whole, such as that its deadline has passed.
    """

    state: str
    outcome: str | None
    attempts: list[Attempt]
    message: str


class Watch:
    """Looks at the runs of a backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._seen: tuple[Any, list[Attempt], str] | None = None
        self._older_api = True

    def look(self, run_id: str) -> Look:
        """A run as it stands now.

        Raises:
            UserError: we are no longer let in, or it does not answer (`Unreachable`).
        """
        with asking(self._backend.host):
            run = self._backend.client.get_run(run_id)
            return self._look(run)

    def outcome_of(self, run_id: str) -> RunOutcome | None:
        """How a run ended; None while it runs, and for one that this backend does not know."""
        try:
            run = self._backend.client.get_run(run_id)
            if self._lost_its_schedule(run):
                return RunOutcome("CANCELED", "its schedule was deleted, and its pods with it")
            if (run.state or "") not in ENDED:
                return None
            look = self._look(run)
        except (kfp_server_api.ApiException, *UNREACHABLE):
            return None
        return RunOutcome(look.outcome or look.state, why_lost(look.attempts) or look.message)

    def state_of(self, run_id: str) -> str | None:
        """The backend's word for a run's state; None for one that it does not know.

        Raises:
            UserError: we are no longer let in, or it does not answer.
        """
        with asking(self._backend.host):
            try:
                run = self._backend.client.get_run(run_id)
            except kfp_server_api.ApiException as error:
                if error.status == 404:
                    return None
                raise
            return "CANCELED" if self._lost_its_schedule(run) else run.state or "PENDING"

    def _look(self, run: Any) -> Look:
        state = run.state or ""
        tasks = (run.run_details.task_details if run.run_details else None) or []
        # The manifest is large (it repeats the arguments of every pod): requested when there is something new in it.
        new = (run.run_id, state, sorted((task.pod_name or "", task.state or "") for task in tasks))
        waiting = any(task.state == "PENDING" for task in tasks)
        if self._seen is None or self._seen[0] != new or waiting:
            self._seen = (new, *self._attempts(run.run_id, tasks))
        _, found, message = self._seen
        return Look(state, _outcome(run), found, message)

    def _attempts(self, run_id: str, tasks: list[Any]) -> tuple[list[Attempt], str]:
        """The attempts of a run, and what its Workflow says as a whole.

        Only the older API hands on Argo's messages. It is the same server, and asks for the same rights; where it is
        not served, steps go by their names alone.
        """
        if self._older_api:
            try:
                manifest = self._manifest(run_id)
            except (ValueError, KeyError, TypeError):
                self._older_api = False
            except kfp_server_api.ApiException as error:
                if error.status not in (403, 404, 405, 501):
                    raise
                self._older_api = False
            else:
                return attempts(nodes_of(manifest)), (manifest.get("status") or {}).get("message") or ""
        return steps_seen(tasks), ""

    def _manifest(self, run_id: str) -> dict[str, Any]:
        answer = self._backend.api_client.call_api(
            "/apis/v1beta1/runs/{run_id}",
            "GET",
            path_params={"run_id": run_id},
            header_params={"Accept": "application/json"},
            auth_settings=["Bearer"],
            _preload_content=False,
            _return_http_data_only=True,
        )
        return json.loads(json.loads(answer.data)["pipeline_runtime"].get("workflow_manifest") or "{}")

    def _lost_its_schedule(self, run: Any) -> bool:
        """Whether a run has no Workflow any more: that goes with its schedule, and the run stays RUNNING for ever."""
        if not run.recurring_run_id or (run.state or "") in ENDED:
            return False
        try:
            self._backend.client.get_recurring_run(run.recurring_run_id)
        except kfp_server_api.ApiException as error:
            return error.status == 404
        return False


def _outcome(run: Any) -> str | None:
    """How a run ended, None while it runs. One that was terminated ends as FAILED; that it was CANCELING tells."""
    if (run.state or "") not in ENDED:
        return None
    before = [status.state for status in run.state_history or [] if status.state not in ENDED]
    if run.state == "FAILED" and before and before[-1] == "CANCELING":
        return "CANCELED"
    return run.state


@dataclass
class Progress:
    """Says what is new about a run's attempts.

    Attributes:
        say: gets one line per change.
        candidates: what MLflow says of them.
    """

    say: Callable[[str], None]
    candidates: Candidates
    _said: dict[tuple[str, int], str] = field(default_factory=dict)
    _ended: set[tuple[str, int]] = field(default_factory=set)

    def read(self, attempts: Sequence[Attempt]) -> None:
        """Takes in all attempts as they stand now."""
        for attempt in attempts:
            which = (attempt.key, attempt.number)
            if which in self._ended or not (what := self._what(attempt)):
                continue
            if attempt.state not in ("waiting", "running"):
                self._ended.add(which)
            if self._said.get(which) != what:
                self._said[which] = what
                self.say(f"{label(attempt.task, self.candidates.name)}: {what}")

    def _what(self, attempt: Attempt) -> str:
        if attempt.state == "failed":
            return f"{'' if attempt.number == 1 else f'attempt {attempt.number} '}failed: {why_failed(attempt)}"
        if attempt.driver:
            return ""
        if attempt.state == "waiting":
            reason = why_waiting(attempt)
            return f"waits: {reason}" if reason else ""
        if attempt.state == "running":
            return "running" if attempt.number == 1 else f"attempt {attempt.number}"
        # Training and evaluation end a candidate that fails for a reason of its own; they succeed, and the run goes on.
        failure = attempt.task.run_id and self.candidates.failure(attempt.task.run_id)
        return f"left out, for it failed: {failure}" if failure else attempt.state


def follow(watch: Watch, run_id: str, progress: Progress, every: float = 10.0) -> RunOutcome:
    """Waits until a run has ended, saying what happens to its steps.

    kfp's own `wait_for_run_completion` waits for ever for a run that was cancelled.

    Args:
        watch: of the backend that has the run.
        run_id: of the run.
        progress: says it.
        every: seconds between two questions.

    Raises:
        UserError: we are no longer let in, or nothing answered for ten minutes; the run goes on.
    """
    answered = time.monotonic()
    cancelled = False
    while True:
        try:
            look = watch.look(run_id)
            answered = time.monotonic()
        except Unreachable:
            if time.monotonic() - answered > PATIENCE:
                raise
            time.sleep(every)
            continue
        progress.read(look.attempts)
        cancelled = cancelled or look.state == "CANCELING"
        if look.outcome is not None:
            state = "CANCELED" if cancelled and look.outcome == "FAILED" else look.outcome
            why = why_lost(look.attempts, progress.candidates.name) or look.message
            return RunOutcome(state, why if state == "FAILED" else "")
        time.sleep(every)
