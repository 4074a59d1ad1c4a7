"""Opens the parent run of a pipeline run, and makes the loop's items out of the candidates."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import mlflow
import psutil
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE

from components import __version__
from components.addresses import without_secrets
from components.bad_input import BadInput
from components.open_run.code_version import code_version as code_here
from components.tracking import names, runs
from components.train.candidate import parse_candidate

LOCAL_PROCESS = "local.process"
"""Tag of a parent run: host, process id and start of the process that runs the pipeline on this machine."""

LOCAL_PROCESS_VARIABLE = "FERPIPE_LOCAL_PROCESS"
IMAGE_VARIABLE = "FERPIPE_IMAGE"


@dataclass(frozen=True)
class PipelineRun:
    """What is known about a pipeline run before a row of its data is read.

    Attributes:
        pipeline_run_id: Kubeflow's id of it.
        parameters: all sections, as `pipeline/parameters.py` dumps them.
        source_version: of the CSV, as `locate` found it.
        code_version: of the code that the pipeline was made from.
        git_commit: with `-dirty` behind it when the tree was.
        parent_run_id: the MLflow run to adopt (a resumed run, or the run of an `mlflow run`); empty for a new one.
    """

    pipeline_run_id: str
    parameters: Mapping[str, Any]
    source_version: str
    code_version: str
    git_commit: str
    parent_run_id: str = ""


def open_run(client: mlflow.MlflowClient, pipeline_run: PipelineRun) -> list[dict[str, Any]]:
    """Checks the candidates, opens the parent run and returns the loop's items.

    Returns:
        One item per candidate: `candidate_id`, `parent_run_id`, `experiment_id`, `name`, `architecture`, `parameters`
        (the candidate's full, resolved training parameters) and `tags`.

    Raises:
        BadInput: no candidates, two equal ones, an unknown key, or an image that holds other code than was compiled.
    """
    if pipeline_run.code_version != code_here():
        raise BadInput(
            f"the pipeline was made from code {pipeline_run.code_version}, but this environment holds {code_here()}; "
            "build the image from the commit that is compiled, or leave components/ alone while the pipeline runs"
        )
    tags = _tags(pipeline_run)
    parameters = pipeline_run.parameters
    identity = (pipeline_run.source_version, parameters["ingest"], parameters["balance"], pipeline_run.code_version)
    items = candidate_items(parameters["candidates"], parameters["train"], identity)
    parent = _open_parent(client, pipeline_run, tags)
    _close_orphans(client, parent)
    for item in items:
        item |= {"parent_run_id": parent.info.run_id, "experiment_id": parent.info.experiment_id, "tags": tags}
    return items


def candidate_items(
    candidates: Sequence[Mapping[str, Any]], train: Mapping[str, Any], identity: Sequence[Any]
) -> list[dict[str, Any]]:
    """The candidates as the loop's items, still without parent and tags.

    Args:
        candidates: as a person wrote them.
        train: the section `train`, which holds for all.
        identity: whatever else makes two trainings different: versions of data and code.

    Raises:
        BadInput: no candidates, two equal ones, or one that does not parse.
    """
    if not candidates:
        raise BadInput("candidates: the list is empty; give at least one, such as {architecture: lenet}")
    items: dict[str, dict[str, Any]] = {}
    marks = _marks(candidates)
    for number, given in enumerate(candidates):
        candidate = parse_candidate(given, train)
        dump = candidate.dump()
        candidate_id = _digest(dump, *identity)
        if candidate_id in items:
            first = list(items).index(candidate_id)
            raise BadInput(f"candidates[{number}] is equal to [{first}]; drop one, or give them different seeds")
        items[candidate_id] = {
            "candidate_id": candidate_id,
            "name": " ".join([candidate.name, *marks[number]]),
            "architecture": candidate.architecture,
            "parameters": dump,
            "tags": {},
        }
    return list(items.values())


def _marks(candidates: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What each candidate says that not all candidates of its architecture say, as `key=value`.

    >>> half = {"architecture": "lenet", "width": 0.5}
    >>> _marks([half, {**half, "augment": False}, {**half, "seed": 1}, {"architecture": "multi_kernel", "epochs": 9}])
    [[], ['augment=false'], [], []]
    """
    in_name = ("architecture", "recipe", "seed")
    marks: list[list[str]] = []
    for given in candidates:
        alike = [other for other in candidates if other.get("architecture") == given.get("architecture")]
        own = {key: value for key, value in given.items() if key not in in_name and value is not None}
        said = {key: value for key, value in own.items() if any(other.get(key) != value for other in alike)}
        marks.append([f"{key}={_as_written(value)}" for key, value in said.items()])
    return marks


def _as_written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_without_kfps_floats(value))


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _tags(pipeline_run: PipelineRun) -> dict[str, str]:
    tags = {
        names.PIPELINE_RUN_ID: pipeline_run.pipeline_run_id,
        names.GIT_COMMIT: pipeline_run.git_commit,
        names.CODE_VERSION: pipeline_run.code_version,
        names.DATA_VERSION: pipeline_run.source_version,
        names.PIPELINE_VERSION: __version__,
        names.IMAGE: os.environ.get(IMAGE_VARIABLE, ""),
        # What the UI shows as a run's source.
        MLFLOW_SOURCE_NAME: "fer-pipeline",
        MLFLOW_SOURCE_TYPE: "JOB",
        MLFLOW_GIT_COMMIT: pipeline_run.git_commit,
    }
    return {name: value for name, value in tags.items() if value}


def _open_parent(client: mlflow.MlflowClient, pipeline_run: PipelineRun, tags: Mapping[str, str]) -> Run:
    """The run given to adopt, else the one a Kubeflow backend opened for this pipeline run, else a new one."""
    parameters = _without_kfps_floats(dict(pipeline_run.parameters))
    tags = {**tags, names.RUN_KIND: "pipeline", LOCAL_PROCESS: os.environ.get(LOCAL_PROCESS_VARIABLE, "")}
    if pipeline_run.parent_run_id:
        try:
            parent = client.get_run(pipeline_run.parent_run_id)
        except mlflow.MlflowException as error:
            raise BadInput(f"parent run {pipeline_run.parent_run_id}: not in this MLflow ({error.message})") from None
        _refuse_another(parent, tags)
    else:
        parent = runs.find_parent(client, pipeline_run.pipeline_run_id)
        # kfp's local runner draws its ids from 100 million: an ended run that has the same one is another's.
        parent = parent if parent is not None and runs.is_open(parent) else None
    if parent is None:
        experiment_id = runs.experiment_id(client, parameters["experiment"])
        parent = client.create_run(experiment_id, tags=tags, run_name=_name(str(parameters["csv"])))
    run_id = parent.info.run_id
    runs.add_views(client, parent.info.experiment_id)
    client.update_run(run_id, status="RUNNING")
    for name, value in tags.items():
        client.set_tag(run_id, name, value)
    if names.FAILURE in parent.data.tags:
        client.delete_tag(run_id, names.FAILURE)
    runs.log_new_parameters(client, run_id, _flat({**parameters, "csv": without_secrets(str(parameters["csv"]))}))
    client.log_dict(run_id, dict(parameters) | {"csv": without_secrets(str(parameters["csv"]))}, "parameters.yaml")
    return client.get_run(run_id)


def _refuse_another(parent: Run, tags: Mapping[str, str]) -> None:
    """A run goes on with the code and the data it began with: with others, its candidates would begin anew beside."""
    for name, what in ((names.CODE_VERSION, "code"), (names.DATA_VERSION, "data")):
        before, now = parent.data.tags.get(name), tags.get(name)
        if before and now and before != now:
            raise BadInput(
                f"run {parent.info.run_id} began with other {what} ({before}; now {now}), with which its trainings "
                f"cannot go on; bring that {what} back, or start a new run"
            )


def _name(csv: str) -> str:
    """The parent's name: what data, and when."""
    data = PurePosixPath(without_secrets(csv).partition("?")[0]).name.partition(".")[0].rstrip(":") or "sample"
    return f"{data} {datetime.now(UTC):%Y-%m-%d %H:%M}"


def _without_kfps_floats(value: Any) -> Any:
    """Whole numbers as a person wrote them: kfp hands every number on as a float (3 as 3.0)."""
    if isinstance(value, Mapping):
        return {key: _without_kfps_floats(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_kfps_floats(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`{"ingest": {"seed": 0}}` as `{"ingest.seed": 0}`: one MLflow parameter each."""
    flat: dict[str, Any] = {}
    for section, value in parameters.items():
        if isinstance(value, Mapping):
            flat |= {f"{section}.{key}": inner for key, inner in value.items()}
        else:
            flat[section] = json.dumps(value) if isinstance(value, list) else value
    return flat


def process_mark(process: psutil.Process) -> str:
    """Host, process id and start time: what `LOCAL_PROCESS` holds."""
    return f"{socket.gethostname()} {process.pid} {process.create_time():.2f}"


def _close_orphans(client: mlflow.MlflowClient, parent: Run) -> None:
    """Ends the pipeline runs of this machine whose process is gone: killed, or the machine went down."""
    for run in runs.open_parents(client, [parent.info.experiment_id]):
        owner = run.data.tags.get(LOCAL_PROCESS, "")
        if run.info.run_id != parent.info.run_id and owner and _is_gone(owner):
            runs.close_tree(client, run, "KILLED", "the process that ran it was gone when the next run started")


def _is_gone(owner: str) -> bool:
    host, process_id, _ = owner.rsplit(" ", 2)
    if host != socket.gethostname():
        return False
    try:
        return process_mark(psutil.Process(int(process_id))) != owner
    except psutil.NoSuchProcess:
        return True
