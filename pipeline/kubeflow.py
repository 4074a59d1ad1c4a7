"""The pipeline on Kubeflow: compiled into a file with immutable images and a cluster's settings on every task."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from components.bad_input import BadInput
from ferkit.tracking.addresses import without_secrets
from ferkit.written import read_yaml, shorten, shown
from pipeline.cluster import Cluster, Images, Placing
from pipeline.git import git_commit
from pipeline.parameters import Parameters, parse_heeded, read_values

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from pipeline.backend import Outcome

COMMIT = re.compile(r"[0-9a-f]{7,40}")
VERSION = re.compile(r"v?\d+\.\d+\.\d+")
DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
GPU_SUFFIX = "-gpu"


@dataclass(frozen=True)
class Asked:
    """What a person asked for: the pipeline's parameters, and the cluster's settings."""

    parameters: Parameters
    cluster: Cluster


def read_asked(csv: str | None, config: Path | None, assignments: Iterable[str] = ()) -> Asked:
    """Reads a config file with its `cluster` section, then a CSV, then single `name=value` assignments.

    An assignment such as `cluster.gpu.count=2` or `cluster.steps.train.memory=32Gi` goes to the cluster's settings.

    Raises:
        BadInput: naming the first key that is unknown, with the nearest right one, or whose value does not fit; or an
            assignment that no candidate would heed.
    """
    prefix = f"{Cluster.section}."
    for_pipeline, for_cluster = [], []
    for assignment in assignments:
        (for_cluster if assignment.startswith(prefix) else for_pipeline).append(assignment)
    values = read_values(csv, config, for_pipeline)
    cluster = values.pop(Cluster.section, None) or {}
    for assignment in for_cluster:
        _put_in_cluster(cluster, assignment.removeprefix(prefix))
    return Asked(parse_heeded(values, for_pipeline), Cluster.parse(cluster))


def _put_in_cluster(cluster: dict[str, Any], assignment: str) -> None:
    name, equals, text = assignment.partition("=")
    if not equals:
        raise BadInput(f"{shorten(f'cluster.{assignment}')}: write name=value, such as cluster.gpu.count=2")
    *sections, last = name.split(".")
    for section in sections:
        cluster = cluster.setdefault(section, {})
        if not isinstance(cluster, dict):
            raise BadInput(f"cluster.{shown(name)[:80]}: {section} has no parts; give it whole, as YAML")
    cluster[last] = read_yaml(text, f"cluster.{shown(name)[:80]}")


def immutable_images(cpu: str, gpu: str = "") -> Images:
    """The two images of a compiled pipeline, by digest or by a tag that names one commit or version for good.

    Args:
        cpu: address of the image of all steps but training.
        gpu: address of the training image; empty for the same tag with `-gpu` behind it, as `images/build` names it.

    Raises:
        BadInput: there is no tag, or one that moves, such as `latest`: kfp's cache would not see it change.
    """
    _check_immutable("--image", cpu)
    if not gpu:
        if "@" in cpu:
            raise BadInput(f"--gpu-image: give the training image as well; its digest cannot be told from {cpu}")
        gpu = cpu + GPU_SUFFIX
    _check_immutable("--gpu-image", gpu)
    return Images(cpu, gpu)


def _check_immutable(option: str, address: str) -> None:
    cure = "give a digest (name@sha256:…) or the tag of a commit, as `make images` prints it"
    if re.search(r"\s", address) or not address:
        raise BadInput(f"{option}: {address!r} is not an image's address; {cure}")
    if "@" in address:
        if not DIGEST.fullmatch(address):
            raise BadInput(f"{option}: {address} has no complete digest; {cure}")
        return
    _, colon, tag = address.rpartition("/")[2].partition(":")
    if not colon:
        raise BadInput(
            f"{option}: {address} has no tag, which means `latest`, and kfp's cache would not see it change; {cure}"
        )
    if tag.endswith(("-dirty", f"-dirty{GPU_SUFFIX}")):
        raise BadInput(f"{option}: {address} was built from a tree with uncommitted changes; commit, build and {cure}")
    tag = tag.removesuffix(GPU_SUFFIX)
    if not (COMMIT.fullmatch(tag) or VERSION.fullmatch(tag)):
        raise BadInput(
            f"{option}: the tag {tag!r} may come to mean another image, and kfp's cache would not see it; {cure}"
        )


def check_reachable(csv: str, cluster: Cluster) -> None:
    """Refuses a CSV that the cluster's pods could not read, or whose address would give others access.

    Raises:
        BadInput: with the cure.
    """
    scheme = urlsplit(csv).scheme
    if without_secrets(csv) != csv:
        raise BadInput(
            f"{without_secrets(csv)}: the address holds a key, which Kubeflow would show to everyone; "
            "give an s3:// address, and its keys as a Secret under cluster.secrets"
        )
    if csv == "sample" or scheme in ("s3", "http", "https", "sample"):
        return
    if cluster.data and Path(csv).is_relative_to(cluster.data.mount):
        return
    raise BadInput(
        f"{csv}: the cluster's pods cannot see a file of this machine; give --upload s3://bucket/prefix to put it "
        "there, an s3:// or http(s):// address, or a path on the volume of cluster.data"
    )


def check_tracking(tracking_uri: str) -> None:
    """Refuses an MLflow address that means another place in every pod, or that would give others access.

    Raises:
        BadInput: it is not http(s)://, or holds a user, a password or a query.
    """
    if urlsplit(tracking_uri).scheme not in ("http", "https"):
        raise BadInput(
            f"--tracking-uri: {without_secrets(tracking_uri) or 'nothing'}: every pod would have an MLflow of its own; "
            "give the address of a server, such as http://mlflow.mlflow.svc:5000"
        )
    if without_secrets(tracking_uri) != tracking_uri:
        raise BadInput(
            f"--tracking-uri: {without_secrets(tracking_uri)}: give it without user, password and query, for Kubeflow "
            "shows parameters to everyone; MLflow's credentials reach the pods from a Secret under cluster.secrets"
        )


def arguments(asked: Asked, tracking_uri: str) -> dict[str, Any]:
    """The pipeline's arguments, every one of them, for a run on the cluster."""
    return {
        **asked.parameters.dump(),
        "tracking_uri": tracking_uri,
        "state_dir": asked.cluster.state_dir,
        "git_commit": git_commit(),
    }


def compile_pipeline(asked: Asked, images: Images, tracking_uri: str, out: Path, cached: bool = True) -> None:
    """Writes the compiled pipeline (KFP IR, and the Kubernetes settings behind it) to `out`; whole or not at all.

    Every argument's value becomes its default, so that a run started in Kubeflow's UI is the run that was compiled.

    Args:
        asked: parameters and cluster settings.
        images: of the steps.
        tracking_uri: the MLflow server, as pods reach it.
        out: the file.
        cached: whether ingest and balance may come from the backend's cache. kfp's client can only turn caching on or
            off for ALL tasks of a run, and on would cache the training too; so it is compiled in.
    """
    from kfp import compiler

    from pipeline.dag import pipeline_for

    pipeline = pipeline_for(Placing(asked.cluster, images), asked.cluster.candidates_at_once)
    half = out.with_name(f".{out.name}.half.yaml")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(pipeline, str(half), pipeline_parameters=arguments(asked, tracking_uri))
        if not cached:
            half.write_text(_uncached(half.read_text()))
        half.replace(out)
    except OSError as error:
        raise BadInput(f"{out}: {error.strerror}; give another path with --out") from None
    finally:
        half.unlink(missing_ok=True)


def _uncached(compiled: str) -> str:
    """The compiled pipeline with no task cached."""
    documents = list(yaml.safe_load_all(compiled))
    pipeline = documents[0]
    for dag in [pipeline["root"], *pipeline["components"].values()]:
        for task in dag.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    return yaml.safe_dump_all(documents, sort_keys=True)


def with_uploaded_csv(asked: Asked, prefix: str) -> Asked:
    """Puts a CSV of this machine under an `s3://bucket/prefix`, by its content's digest, unless it is there already.

    Keys and endpoint are boto3's own (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, profiles).

    Raises:
        BadInput: no such file, no such bucket, or no right to write there.
    """
    import boto3
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, folder = prefix.removeprefix("s3://").strip("/").partition("/")
    if not prefix.startswith("s3://") or not bucket:
        raise BadInput(f"--upload: {prefix!r} is no place to put a file; give s3://bucket/prefix")
    path = Path(asked.parameters.csv)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; --upload takes a CSV of this machine, named by --csv") from None
    key = "/".join(part for part in (folder, f"{digest}-{path.name}") if part)
    try:
        client = boto3.Session().client("s3")
        if not _is_there(client, bucket, key, path.stat().st_size):
            client.upload_file(str(path), bucket, key)
    except (BotoCoreError, ClientError, S3UploadFailedError) as error:
        raise BadInput(
            f"s3://{bucket}/{key}: {error}; check the bucket, and the keys in AWS_ACCESS_KEY_ID or a profile"
        ) from None
    return replace(asked, parameters=asked.parameters.model_copy(update={"csv": f"s3://{bucket}/{key}"}))


def _is_there(client: Any, bucket: str, key: str, size: int) -> bool:
    from botocore.exceptions import ClientError

    try:
        return client.head_object(Bucket=bucket, Key=key)["ContentLength"] == size
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return False
        raise


def close_orphan(tracking_uri: str, run_id: str, outcome: Outcome) -> None:
    """Ends the MLflow runs of a pipeline run that was terminated before its exit handler could.

    The address is the pods'; where it does not answer from here, nothing is closed.
    """
    from mlflow import MlflowException

    from ferkit.tracking import tree
    from ferkit.tracking.store import connect

    with contextlib.suppress(MlflowException):
        client = connect(tracking_uri)
        parent = tree.find_parent(client, run_id)
        if parent is not None and tree.is_open(parent):
            _close(client, parent, outcome)


def close_orphans(tracking_uri: str, outcome_of: Callable[[str], Outcome | None]) -> int:
    """Ends the MLflow runs of all pipeline runs that the backend says have ended, such as those terminated in its UI.

    Args:
        tracking_uri: the pods' MLflow; where it does not answer from here, nothing is closed.
        outcome_of: how a pipeline run of the backend ended, by its id; None for one that runs or is not known there.

    Returns:
        How many pipeline runs were closed.
    """
    import requests
    from mlflow import MlflowException

    from components.open_run.open_run import LOCAL_PROCESS
    from ferkit.tracking import names, tree
    from ferkit.tracking.store import connect

    closed = 0
    with contextlib.suppress(MlflowException, requests.RequestException):
        requests.get(f"{tracking_uri.rstrip('/')}/health", timeout=3)  # MLflow's own client would try for a minute
        client = connect(tracking_uri)
        for parent in tree.open_parents(client):
            run_id = parent.data.tags.get(names.PIPELINE_RUN_ID, "")
            if run_id and not parent.data.tags.get(LOCAL_PROCESS) and (outcome := outcome_of(run_id)):
                _close(client, parent, outcome)
                closed += 1
    return closed


def _close(client: MlflowClient, parent: Run, outcome: Outcome) -> None:
    from ferkit.tracking import tree

    status = {"SUCCEEDED": "FINISHED", "CANCELED": "KILLED"}.get(outcome.state, "FAILED")
    tree.close_tree(client, parent, status, outcome.why or f"pipeline run {outcome.state.lower()}")
