"""Where and with what the steps run on a Kubernetes cluster: the `cluster` section of a config file.

Nothing in it changes a result, so it is no parameter of the pipeline: it is written into the compiled pipeline, and
kfp's cache does not see it. Passwords and keys are never in it: it names the Kubernetes Secrets that hold them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from kfp.dsl import PipelineConfig
from pydantic import Field, field_validator

from ferkit.errors import UserError, nearest
from ferkit.settings import Settings
from ferkit.user_input import shorten
from pipeline.step_resources import STEPS, StepResources, check_volume_size

TRAIN = "train"
READS_CSV = ("locate", "ingest")

TAKEN_MOUNTS = {"/": "the image", "/tmp": "cluster.scratch", "/dev/shm": "cluster.shared_memory"}
"""What lies where in a pod."""

LONGEST_WAIT = 24 * 3600
"""Seconds between two attempts."""


class Gpu(Settings):
    """The accelerators of a training pod. No other step asks for any."""

    section: ClassVar[str] = "cluster.gpu"

    type: str = Field(
        default="nvidia.com/gpu",
        pattern=r"^[\w.-]+(/[\w.-]+)?$",
        description="the resource's name on the nodes, such as nvidia.com/mig-1g.10gb",
    )
    count: int = Field(default=1, ge=0, le=16, description="per training pod; 0 trains on the CPU")


class Toleration(Settings):
    """Lets training pods onto nodes with a taint. It does not send them there: that is `node_selector`'s part."""

    section: ClassVar[str] = "cluster.tolerations"

    key: str = Field(min_length=1, description="the taint's key")
    operator: Literal["Exists", "Equal"] = Field(default="Exists", description="`Equal` compares the value as well")
    value: str = Field(default="", description="the taint's value, for `Equal`")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(default="", description="empty for any")
    seconds: int | None = Field(
        default=None, ge=0, description="how long `NoExecute` is tolerated; for ever when left out"
    )


class Retry(Settings):
    """How long to wait before a further attempt. Each step's `retries` and `timeout_minutes` bound the attempts."""

    section: ClassVar[str] = "cluster.retry"

    wait_seconds: int = Field(default=30, ge=0, description="seconds before the first further attempt")
    factor: int = Field(
        default=2, ge=1, description="factor by which the wait grows with every attempt; whole, as Argo takes it"
    )

    def longest_wait(self, retries: int) -> int:
        """Seconds before the last of so many further attempts.

        >>> Retry(wait_seconds=30, factor=2).longest_wait(3)
        120
        """
        return self.wait_seconds * self.factor ** (retries - 1) if retries else 0


class Claim(Settings):
    """A PersistentVolumeClaim and where pods find it."""

    section: ClassVar[str] = "cluster.claim"

    claim: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
        max_length=253,
        description="the claim's name; ReadWriteMany where candidates train on several nodes",
    )
    mount: str = Field(pattern=r"^/[^/:]", description="the path in the containers")
    sub_path: str = Field(default="", description="a folder of the volume instead of all of it")

    @field_validator("mount")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if there := TAKEN_MOUNTS.get(posixpath.normpath(value)):
            raise ValueError(f"{there} is there; use a path of its own, such as /state")
        return value


class FromSecret(Settings):
    """Environment variables out of a Kubernetes Secret, or out of a ConfigMap."""

    section: ClassVar[str] = "cluster.secrets"

    name: str = Field(min_length=1, description="the Secret's, or ConfigMap's, name in the namespace of the run")
    keys: dict[str, str] = Field(min_length=1, description="key in it: environment variable")
    steps: list[str] = Field(default=[], description="only for these steps; empty for all")
    optional: bool = Field(default=False, description="start the pod even if there is none of that name")

    @field_validator("steps")
    @classmethod
    def _are_steps(cls, value: list[str]) -> list[str]:
        for step in value:
            if step not in STEPS:
                raise ValueError(f"no such step: {step}; {nearest(step, STEPS)}")
        return value


class Cluster(Settings):
    """The cluster's side of a pipeline run."""

    section: ClassVar[str] = "cluster"

    gpu: Gpu = Field(default_factory=Gpu, description="accelerators of a training pod")
    node_selector: dict[str, str] = Field(default={}, description="labels of the nodes on which training runs")
    tolerations: list[Toleration] = Field(
        default=[Toleration(key="nvidia.com/gpu", effect="NoSchedule")],
        description="taints that training pods tolerate",
    )
    shared_memory: str = Field(
        default="2Gi", description="/dev/shm of training pods, out of their memory; empty for 64 MB"
    )
    scratch: str = Field(default="10Gi", description="/tmp of every pod: the root file system may be read-only")
    candidates_at_once: int = Field(default=2, ge=1, le=1000, description="training pods side by side")
    steps: dict[str, StepResources] = Field(
        default=dict(STEPS), description="per step: cpu, memory, their limits, timeout, retries"
    )
    retry: Retry = Field(default_factory=Retry, description="waits between attempts")
    state: Claim | None = Field(
        default=None, description="volume that keeps training's state from one attempt to the next"
    )
    state_prefix: str = Field(
        default="",
        pattern=r"^(s3://[^/]+(/.*)?)?$",
        description="s3:// prefix for training's state, in place of a volume",
    )
    data: Claim | None = Field(default=None, description="volume that holds CSVs, for locate and ingest")
    secrets: list[FromSecret] = Field(default=[], description="credentials: MLflow's, S3's, the webhook's address")
    config_maps: list[FromSecret] = Field(default=[], description="settings that are no secret, such as an S3 endpoint")
    service_account: str = Field(
        default="",
        description="service account of the pods; empty for the namespace's own. `submit` sends it: a run started "
        "in Kubeflow's UI has the one that is chosen there",
    )
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="Kubernetes' imagePullPolicy"
    )
    image_pull_secrets: list[str] = Field(default=[], description="Secrets with the registry's credentials")
    labels: dict[str, str] = Field(
        default={}, description="labels of the pods of the steps, not of the drivers before them: docs/kubeflow.md"
    )
    annotations: dict[str, str] = Field(
        default={},
        description="annotations of the pods of the steps, such as sidecar.istio.io/inject: 'false'; those of the "
        "drivers follow the administrator's DRIVER_POD_ANNOTATIONS: docs/kubeflow.md",
    )
    deadline_hours: int | None = Field(
        default=None, ge=1, le=50_000, description="the whole run is ended after this long; never if left out"
    )
    time_to_live_hours: int | None = Field(
        default=None,
        ge=1,
        le=50_000,
        description="Kubernetes keeps an ended run's Workflow and pods, and their logs, for this long; for an hour "
        "with Kubeflow's own Argo settings if left out. Kubeflow's and MLflow's records stay",
    )
    run_as_user: int | None = Field(
        default=None, ge=1, description="user id of the containers; the image's own (10001) if left out"
    )

    @field_validator("shared_memory", "scratch")
    @classmethod
    def _is_a_size(cls, value: str) -> str:
        return check_volume_size(value) if value else value

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """The section with `values` in place of the defaults; a step's values in place of that step's defaults.

        Raises:
            UserError: naming the first key that is unknown or whose value does not fit.
        """
        values = dict(_mapping("cluster", values))
        one = {"gpu": Gpu, "retry": Retry, "state": Claim, "data": Claim}
        several = {"tolerations": Toleration, "secrets": FromSecret, "config_maps": FromSecret}
        for key, kind in one.items():
            if values.get(key) is not None:
                values[key] = kind.parse_under(f"cluster.{key}", _mapping(f"cluster.{key}", values[key])).model_dump()
        for key, kind in several.items():
            for number, item in enumerate(_list(f"cluster.{key}", values.get(key) or [])):
                name = f"cluster.{key}[{number}]"
                kind.parse_under(name, _mapping(name, item))
        values["steps"] = _steps(_mapping("cluster.steps", values.get("steps") or {}))
        parsed = super().parse(values)
        if parsed.state and parsed.state_prefix:
            raise UserError(
                "cluster.state and cluster.state_prefix: training keeps its state in one place; set one of them"
            )
        for name, step in parsed.steps.items():
            if (wait := parsed.retry.longest_wait(step.retries)) > LONGEST_WAIT:
                raise UserError(
                    f"cluster.steps.{name}.retries: the wait before the last of {step.retries} further attempts would "
                    f"be {wait / 3600:.0f} hours, and a day is the most; lower cluster.retry.factor "
                    f"(received {parsed.retry.factor})"
                )
        return parsed

    def limits(self) -> PipelineConfig:
        """How long a run may take, and how long Kubernetes keeps it."""
        return PipelineConfig(
            ttl_seconds_after_finished=_seconds(self.time_to_live_hours),
            active_deadline_seconds=_seconds(self.deadline_hours),
        )

    @property
    def state_dir(self) -> str:
        """Where training keeps its state: a mounted path, an `s3://` prefix, or the pod's own disk (lost with it)."""
        return self.state.mount if self.state else self.state_prefix or "/tmp/state"


def take_outdated(values: Mapping[str, Any]) -> list[str]:
    """Takes settings of earlier versions out of a `cluster` section, and returns for each why it is ignored."""
    retry = values.get("retry") if isinstance(values, Mapping) else None
    if not isinstance(retry, dict) or "longest_seconds" not in retry:
        return []
    del retry["longest_seconds"]
    return [
        "cluster.retry.longest_seconds: no longer used, and refused from 0.3 on: Argo counts it from the first "
        "attempt's start, and ended healthy attempts; leave it out, timeout_minutes bounds each one"
    ]


def _seconds(hours: int | None) -> int | None:
    return None if hours is None else hours * 3600


def _list(where: str, values: object) -> list[Any]:
    if not isinstance(values, list):
        raise UserError(f"{where}: takes a list (received {shorten(values)})")
    return values


def _mapping(where: str, values: object) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: takes `name: value` lines (received {shorten(values)})")
    return values


def _steps(written: Mapping[str, Any]) -> dict[str, Any]:
    steps = {name: step.model_dump() for name, step in STEPS.items()}
    for name, values in written.items():
        if name not in steps:
            raise UserError(f"cluster.steps.{name}: no such step; {nearest(str(name), steps)}")
        where = f"cluster.steps.{name}"
        steps[name] = StepResources.parse_under(where, {**steps[name], **_mapping(where, values)}).model_dump()
    return steps
