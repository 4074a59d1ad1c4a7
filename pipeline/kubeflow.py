"""The pipeline on Kubeflow: compiled into a file with immutable images and a cluster's settings on every task."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ferkit.addresses import without_secrets
from ferkit.code_version import git_commit
from ferkit.errors import UserError
from ferkit.layers import merge
from ferkit.tracking.labels import Labels
from ferkit.user_input import shown, split_assignment
from ferkit.yaml_input import read_yaml
from pipeline.cluster import Cluster, take_outdated
from pipeline.layers import layers_of, parse_layers
from pipeline.parameters import SECTIONS, Parameters
from pipeline.task_settings import ClusterTaskSettings, Images

COMMIT = re.compile(r"[0-9a-f]{7,40}")
VERSION = re.compile(r"v?\d+\.\d+\.\d+")
DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
GPU_SUFFIX = "-gpu"


@dataclass(frozen=True)
class RunConfig:
    """What to run: the pipeline's parameters, and the cluster's settings.

    Attributes:
        parameters: of the pipeline.
        cluster: where and with what its steps run.
        outdated: a sentence for each setting that is no longer used.
    """

    parameters: Parameters
    cluster: Cluster
    outdated: tuple[str, ...] = ()


def read_run_config(csv: str | None, config: Path | None, assignments: Iterable[str] = ()) -> RunConfig:
    """Reads a config file with its `cluster` section, then a CSV, then single `name=value` assignments.

    An assignment such as `cluster.gpu.count=2` or `cluster.steps.train.memory=32Gi` goes to the cluster's settings.

    Raises:
        UserError: naming the first key that is unknown, with the nearest right one, or whose value does not fit; or an
            assignment that no candidate would use.
    """
    for_pipeline, for_cluster = split_assignments(assignments)
    layers = layers_of(csv, config, for_pipeline)
    cluster, outdated = read_cluster(merge(layers, SECTIONS).get(Cluster.section) or {}, for_cluster)
    return RunConfig(parse_layers(layers), cluster, outdated)


def split_assignments(assignments: Iterable[str]) -> tuple[list[str], list[str]]:
    """The `name=value` assignments for the pipeline, and those for the cluster, without their `cluster.`."""
    prefix = f"{Cluster.section}."
    for_pipeline, for_cluster = [], []
    for assignment in assignments:
        if assignment.startswith(prefix):
            for_cluster.append(assignment.removeprefix(prefix))
        else:
            for_pipeline.append(assignment)
    return for_pipeline, for_cluster


def read_cluster(values: Mapping[str, Any], assignments: Iterable[str] = ()) -> tuple[Cluster, tuple[str, ...]]:
    """The cluster's settings out of a `cluster` section and assignments, and a sentence for each outdated one.

    Raises:
        UserError: naming the first key that is unknown, or whose value does not fit.
    """
    values = copy.deepcopy(dict(values)) if isinstance(values, Mapping) else values
    for assignment in assignments:
        _put_in_cluster(values, assignment)
    outdated = take_outdated(values)
    return Cluster.parse(values), tuple(outdated)


def _put_in_cluster(cluster: dict[str, Any], assignment: str) -> None:
    name, text = split_assignment(assignment, "cluster.gpu.count=2")
    *sections, last = name.split(".")
    for section in sections:
        cluster = cluster.setdefault(section, {})
        if not isinstance(cluster, dict):
            raise UserError(f"cluster.{shown(name)[:80]}: {section} has no parts; set it whole, as YAML")
    cluster[last] = read_yaml(text, f"cluster.{shown(name)[:80]}") if text.strip() else _emptied(name)


def _emptied(name: str) -> Any:
    """What a setting holds when it is emptied (`cluster.service_account=`): nothing, in its own kind."""
    default: Any = Cluster().model_dump()
    for part in name.split("."):
        default = default.get(part) if isinstance(default, dict) else None
    return type(default)() if isinstance(default, (str, list, dict)) else None


def immutable_images(cpu: str, gpu: str = "") -> Images:
    """The two images of a compiled pipeline, by digest or by a tag that names one commit or version for good.

    Args:
        cpu: address of the image of all steps but training.
        gpu: address of the training image; empty for the same tag with `-gpu` behind it, as `images/build` names it.

    Raises:
        UserError: there is no tag, or one that moves, such as `latest`: kfp's cache would not see it change.
    """
    _check_immutable("--image", cpu)
    if not gpu:
        if "@" in cpu:
            raise UserError(f"--gpu-image: name the training image as well; its digest cannot be told from {cpu}")
        gpu = cpu + GPU_SUFFIX
    _check_immutable("--gpu-image", gpu)
    return Images(cpu, gpu)


def _check_immutable(option: str, address: str) -> None:
    cure = "use a digest (name@sha256:…) or the tag of a commit, as `make images` prints it"
    if re.search(r"\s", address) or not address:
        raise UserError(f"{option}: {address!r} is not an image's address; {cure}")
    if "@" in address:
        if not DIGEST.fullmatch(address):
            raise UserError(f"{option}: {address} has no complete digest; {cure}")
        return
    _, colon, tag = address.rpartition("/")[2].partition(":")
    if not colon:
        raise UserError(
            f"{option}: {address} has no tag, which means `latest`, and kfp's cache would not see it change; {cure}"
        )
    if tag.endswith(("-dirty", f"-dirty{GPU_SUFFIX}")):
        raise UserError(f"{option}: {address} was built from a tree with uncommitted changes; commit, build and {cure}")
    tag = tag.removesuffix(GPU_SUFFIX)
    if not (COMMIT.fullmatch(tag) or VERSION.fullmatch(tag)):
        raise UserError(
            f"{option}: the tag {tag!r} may point to another image later, and kfp's cache would not see it; {cure}"
        )


def check_reachable(csv: str, cluster: Cluster) -> None:
    """Refuses a CSV that the cluster's pods could not read, or whose address holds a password or key.

    Raises:
        UserError: with the cure.
    """
    scheme = csv.partition("://")[0].lower()
    if without_secrets(csv) != csv:
        raise UserError(
            f"{without_secrets(csv)}: the address holds a key, which Kubeflow would show to everyone; "
            "use an s3:// address, and its keys as a Secret under cluster.secrets"
        )
    if csv == "sample" or scheme in ("s3", "gs", "http", "https", "sample"):
        return
    if cluster.data and Path(csv).is_relative_to(cluster.data.mount):
        return
    raise UserError(
        f"{csv}: the cluster's pods cannot see a file of this machine; use --upload s3://bucket/prefix to put it "
        "there, an s3://, gs:// or http(s):// address, or a path on the volume of cluster.data"
    )


def check_tracking(tracking_uri: str) -> None:
    """Refuses an MLflow address that means another place in every pod, or that holds a password.

    Raises:
        UserError: it is not http(s)://, or holds a user, a password or a query.
    """
    if not tracking_uri.startswith(("http://", "https://")):
        raise UserError(
            f"--tracking-uri: {without_secrets(tracking_uri) or 'nothing'}: every pod would have an MLflow of its own; "
            "use the address of a server, such as http://mlflow.mlflow.svc:5000"
        )
    if without_secrets(tracking_uri) != tracking_uri:
        raise UserError(
            f"--tracking-uri: {without_secrets(tracking_uri)}: write it without user, password and query, for Kubeflow "
            "shows parameters to everyone; MLflow's credentials reach the pods from a Secret under cluster.secrets"
        )


def arguments(
    run_config: RunConfig, tracking_uri: str, parent_run_id: str = "", labels: Labels | None = None
) -> dict[str, Any]:
    """The pipeline's arguments, every one of them, for a run on the cluster.

    Args:
        run_config: parameters and cluster settings.
        tracking_uri: the MLflow server, as pods reach it.
        parent_run_id: the MLflow run in which a resumed run goes on; empty for a new one.
        labels: what the person who starts it says of it.
    """
    return {
        **run_config.parameters.dump(),
        "tracking_uri": tracking_uri,
        "state_dir": run_config.cluster.state_dir,
        "git_commit": git_commit(),
        "parent_run_id": parent_run_id,
        "labels": (labels or Labels()).dump(),
    }


def compile_pipeline(run_config: RunConfig, images: Images, tracking_uri: str, out: Path, cached: bool = True) -> None:
    """Writes the compiled pipeline (KFP IR, and the Kubernetes settings behind it) to `out`; whole or not at all.

    Every argument's value becomes its default, so that a run started in Kubeflow's UI is the run that was compiled.

    Args:
        run_config: parameters and cluster settings.
        images: of the steps.
        tracking_uri: the MLflow server, as pods reach it.
        out: the file.
        cached: whether ingest and balance may come from the backend's cache. kfp's client can only turn caching on or
            off for ALL tasks of a run, and on would cache the training too; so it is compiled in.
    """
    from kfp import compiler

    from pipeline.dag import pipeline_for

    pipeline = pipeline_for(
        ClusterTaskSettings(run_config.cluster, images),
        run_config.cluster.candidates_at_once,
        run_config.cluster.limits(),
    )
    half = out.with_name(f".{out.name}.half.yaml")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(pipeline, str(half), pipeline_parameters=arguments(run_config, tracking_uri))
        if not cached:
            half.write_text(_uncached(half.read_text()))
        half.replace(out)
    except OSError as error:
        raise UserError(f"{out}: {error.strerror}; use another path with --out") from None
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
