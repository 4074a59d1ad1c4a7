"""One pipeline run or one candidate in detail, read from MLflow, as `ferpipe show` prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_USER
from pydantic_core import to_jsonable_python

from components.open_run.open_run import canonical
from ferkit.addresses import run_address
from ferkit.data import EMOTIONS
from ferkit.errors import UserError
from ferkit.registry import versions
from ferkit.settings import whole_numbers
from ferkit.tracking import names
from ferkit.tracking.candidates import has_failed
from ferkit.tracking.names import metric
from ferkit.tracking.owner import owner_of
from ferkit.tracking.short_ids import SHOWN
from ferkit.training.candidate import parse_candidate
from ferkit.yaml_input import read_yaml
from pipeline.candidates import shown_candidates
from pipeline.compare import Row, data_of, rows_of, start_of
from pipeline.parameters import describe
from pipeline.run_report import local_report
from pipeline.summary import command, find_state, next_commands

SAID_ELSEWHERE: Final = ("csv", "candidates", "experiment", names.MODEL_PARAMETER)
"""Parameters of a pipeline run that are no difference from a default, or that stand in another line."""


@dataclass(frozen=True)
class Shown:
    """A pipeline run or a candidate.

    Attributes:
        kind: `pipeline` or `candidate`.
        run_id: its run's.
        name: of its run.
        status: `FINISHED`, `FAILED`, `RUNNING`, ...
        started: UTC, ISO 8601.
        seconds: from its start to its end; None while it runs.
        user: who started it.
        note: what they said of it.
        pipeline_run: of a candidate, the id of its pipeline run; empty for a pipeline run.
        data: a short name.
        csv: the CSV's address, without secrets.
        data_digest: of the data set, balanced; empty until that is known.
        differs: of a pipeline run, its parameters that are not the defaults; of a candidate, its settings that are not
            those of its recipe, as both are in this version of the pipeline.
        candidates: a row each, best on validation first; of a candidate, its own.
        per_class: of a candidate, precision, recall and F1 on test by emotion; empty where test was not read.
        verdict: what the gate said of a pipeline run; of a candidate, what it said of its version.
        failure: the sentence with which it failed.
        code: `fer-pipeline` (its version), `git`, `image`, those that are known.
        report: path of the report on this machine; empty for none.
        address: its page in the MLflow UI.
        next: the commands that come next.
    """

    kind: str
    run_id: str
    name: str
    status: str
    started: str
    seconds: float | None
    user: str
    note: str
    pipeline_run: str
    data: str
    csv: str
    data_digest: str
    differs: Mapping[str, str]
    candidates: Sequence[Row]
    per_class: Mapping[str, Mapping[str, float]]
    verdict: str
    failure: str
    code: Mapping[str, str]
    report: str
    address: str
    next: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def show_run(client: mlflow.MlflowClient, run: Run, tracking_uri: str) -> Shown:
    """Reads what there is to say of a run.

    Args:
        client: of the MLflow that holds it.
        run: a pipeline run, or a candidate.
        tracking_uri: of that MLflow.

    Raises:
        UserError: it is neither.
    """
    tags, info = run.data.tags, run.info
    kind = tags.get(names.RUN_KIND, "")
    if kind not in ("pipeline", "candidate"):
        raise UserError(f"run {info.run_id} ({info.run_name}) is no pipeline run and no candidate; see `ferpipe runs`")
    is_parent = kind == "pipeline"
    parent_id = "" if is_parent else tags.get(MLFLOW_PARENT_RUN_ID, "")
    parent = client.get_run(parent_id) if parent_id else run
    candidates = [child.info.run_id for child in shown_candidates(client, run)] if is_parent else [info.run_id]
    rows = rows_of(client, candidates, versions.model_of(parent))
    code = {"fer-pipeline": names.PIPELINE_VERSION, "git": names.GIT_COMMIT, "image": names.IMAGE}
    return Shown(
        kind=kind,
        run_id=info.run_id,
        name=str(info.run_name),
        status=info.status,
        started=start_of(run),
        seconds=(info.end_time - info.start_time) / 1000 if info.end_time else None,
        user=tags.get(MLFLOW_USER, ""),
        note=tags.get(names.NOTE, ""),
        pipeline_run=parent_id,
        data=data_of(run, parent),
        csv=parent.data.params.get("csv", ""),
        data_digest=tags.get(names.DATA_DIGEST, ""),
        differs=_not_default(run) if is_parent else _not_of_the_recipe(run),
        candidates=rows,
        per_class={} if is_parent else _per_class(run),
        verdict=tags.get(names.GATE_VERDICT, "") if is_parent else rows[0].verdict,
        failure=tags.get(names.FAILURE, ""),
        code={what: tags[tag] for what, tag in code.items() if tag in tags},
        report=str(local_report(parent) or ""),
        address=run_address(tracking_uri, info.experiment_id, info.run_id),
        next=_next(client, run, rows) if is_parent else _next_of_candidate(run, parent_id, rows[0]),
    )


def _not_default(run: Run) -> dict[str, str]:
    defaults = {name: field.get_default(call_default_factory=True) for name, field in describe()}
    return {
        name: value
        for name, value in run.data.params.items()
        if name in defaults and name not in SAID_ELSEWHERE and not _is_logged_as(defaults[name], value)
    }


def _not_of_the_recipe(run: Run) -> dict[str, str]:
    """Settings that differ from its recipe; none where this version of the pipeline has no such recipe."""
    logged = run.data.params
    try:
        usual = parse_candidate({"architecture": logged["architecture"]}, {"recipe": logged["recipe"]}).dump()
    except (UserError, KeyError):  # an ensemble, or a recipe that is gone
        return {}
    return {
        name: logged[name]
        for name, value in usual.items()
        if name != "seed" and name in logged and not _is_logged_as(value, logged[name])
    }


def _is_logged_as(value: Any, text: str) -> bool:
    """Whether `text` is how `open_run` writes a value into MLflow: on a pipeline run, or on a candidate."""
    value = to_jsonable_python(value)
    if isinstance(value, dict):  # version 0.1 wrote Python's form, in any order
        return read_yaml(text, "a parameter") == value
    return text in (str(canonical(whole_numbers(value))), str(value))


def _per_class(run: Run) -> dict[str, dict[str, float]]:
    metrics = run.data.metrics
    found = {
        emotion: {
            figure: metrics[name]
            for figure in ("precision", "recall", "f1")
            if (name := metric("test", figure, emotion)) in metrics
        }
        for emotion in EMOTIONS
    }
    return {emotion: values for emotion, values in found.items() if values}


def _next(client: mlflow.MlflowClient, run: Run, rows: Sequence[Row]) -> list[str]:
    run_id = run.info.run_id
    if run.info.status in ("FAILED", "KILLED"):
        owner = owner_of(run)
        verb = "run" if owner is None or owner.is_local else "submit"
        return [f"{command()} {verb} --resume {run_id}"]
    if run.info.status != "FINISHED":
        return [f"{command()} runs"]
    challenger = find_state(client, versions.model_of(run)).challenger or ""
    return [f"{command()} {rest}" for rest in next_commands(client, run, rows, challenger)]


def _next_of_candidate(run: Run, parent_id: str, row: Row) -> list[str]:
    short = run.info.run_id[:SHOWN]
    found = [f"show {parent_id[:SHOWN]}"] if parent_id else []
    if row.macro_f1 is not None and not has_failed(run):
        found += [f"compare {short}", f"predict FACES --model {run.info.run_id}"]
    return [f"{command()} {rest}" for rest in found]
