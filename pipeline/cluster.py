"""Where and with what the steps run on a Kubernetes cluster: the `cluster` section of a config file.

Nothing in it changes a result, so it is no parameter of the pipeline: it is written into the compiled pipeline, and
kfp's cache does not see it. Passwords and keys are never in it: it names the Kubernetes Secrets that hold them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from kfp import kubernetes
from kfp.dsl import PipelineTask
from pydantic import Field, field_validator

from components.bad_input import BadInput, nearest
from components.open_run.open_run import IMAGE_VARIABLE
from components.section import Section
from ferkit.written import shorten

TRAIN = "train"
READS_CSV = ("locate", "ingest")

Cpu = re.compile(r"(\d+\.)?\d+m?")
Memory = re.compile(r"\d+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?")


class Step(Section):
    """What one step asks of its node. Requests place the pod; a limit of memory, once passed, ends it."""

    section: ClassVar[str] = "cluster.steps"

    cpu: str = Field(default="250m", description="cores asked for: `2`, or `500m` for half a core")
    cpu_limit: str = Field(default="", description="cores at most; empty for no limit (a limit throttles)")
    memory: str = Field(default="512Mi", description="memory asked for, such as `4Gi`")
    memory_limit: str = Field(default="", description="memory at most; empty for none")
    timeout_minutes: int = Field(default=60, ge=0, description="an attempt's pod is ended after this long; 0 for never")
    retries: int = Field(
        default=2, ge=0, le=20, description="further attempts after a failure; training goes on where it was"
    )

    @field_validator("cpu", "cpu_limit")
    @classmethod
    def _is_cpu(cls, value: str) -> str:
        if value and not Cpu.fullmatch(value):
            raise ValueError("cores are a number, or thousandths such as 500m")
        return value

    @field_validator("memory", "memory_limit")
    @classmethod
    def _is_memory(cls, value: str) -> str:
        if value and not Memory.fullmatch(value):
            raise ValueError("memory is a number with K, Ki, M, Mi, G, Gi, T or Ti behind it")
        return value


STEPS: Mapping[str, Step] = {
    "locate": Step(memory="512Mi", memory_limit="2Gi", timeout_minutes=30),
    "open_run": Step(memory="512Mi", memory_limit="2Gi", timeout_minutes=10),
    "ingest": Step(cpu="2", memory="2Gi", memory_limit="4Gi"),
    "balance": Step(cpu="2", memory="2Gi", memory_limit="4Gi"),
    "profile": Step(cpu="1", memory="2Gi", memory_limit="4Gi"),
    "train": Step(cpu="4", memory="8Gi", memory_limit="16Gi", timeout_minutes=24 * 60, retries=3),
    "evaluate": Step(cpu="2", memory="4Gi", memory_limit="8Gi"),
    "ensemble": Step(cpu="2", memory="4Gi", memory_limit="8Gi"),
    "register": Step(cpu="2", memory="4Gi", memory_limit="8Gi"),
    "close_run": Step(memory="512Mi", memory_limit="2Gi", timeout_minutes=10),
}
"""For FER2013 (35,887 faces of 48 x 48)."""


class Gpu(Section):
    """The accelerators of a training pod. No other step asks for any."""

    section: ClassVar[str] = "cluster.gpu"

    type: str = Field(
        default="nvidia.com/gpu", description="the resource's name on the nodes, such as nvidia.com/mig-1g.10gb"
    )
    count: int = Field(default=1, ge=0, le=16, description="per training pod; 0 trains on the CPU")


class Toleration(Section):
    """Lets training pods onto nodes with a taint. It does not send them there: that is `node_selector`'s part."""

    section: ClassVar[str] = "cluster.tolerations"

    key: str = Field(min_length=1, description="the taint's key")
    operator: Literal["Exists", "Equal"] = Field(default="Exists", description="`Equal` compares the value as well")
    value: str = Field(default="", description="the taint's value, for `Equal`")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(default="", description="empty for any")
    seconds: int | None = Field(
        default=None, ge=0, description="how long `NoExecute` is tolerated; for ever when left out"
    )


class Retry(Section):
    """How long to wait before a further attempt."""

    section: ClassVar[str] = "cluster.retry"

    wait_seconds: int = Field(default=30, ge=0, description="before the first further attempt")
    factor: float = Field(default=2.0, ge=1, description="the wait grows by this with every attempt")
    longest_seconds: int = Field(default=600, ge=0, description="the wait grows no further than this")


class Claim(Section):
    """A PersistentVolumeClaim and where pods find it."""

    section: ClassVar[str] = "cluster.claim"

    claim: str = Field(
        min_length=1, description="the claim's name; ReadWriteMany where candidates train on several nodes"
    )
    mount: str = Field(pattern=r"^/[^/]", description="the path in the containers")
    sub_path: str = Field(default="", description="a folder of the volume instead of all of it")


class FromSecret(Section):
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


class Cluster(Section):
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
    steps: dict[str, Step] = Field(
        default=dict(STEPS), description="per step: cpu, memory, their limits, timeout, retries"
    )
    retry: Retry = Field(default_factory=Retry, description="waits between attempts")
    state: Claim | None = Field(
        default=None, description="volume that keeps training's state from one attempt to the next"
    )
    state_prefix: str = Field(
        default="", pattern=r"^(s3://[^/]+(/.*)?)?$", description="the same under an s3:// prefix"
    )
    data: Claim | None = Field(default=None, description="volume that holds CSVs, for locate and ingest")
    secrets: list[FromSecret] = Field(default=[], description="credentials: MLflow's, S3's, the webhook's address")
    config_maps: list[FromSecret] = Field(default=[], description="settings that are no secret, such as an S3 endpoint")
    service_account: str = Field(default="", description="that pods run as; empty for the namespace's own")
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="as Kubernetes has it"
    )
    image_pull_secrets: list[str] = Field(default=[], description="Secrets with the registry's credentials")
    labels: dict[str, str] = Field(default={}, description="on every pod")
    annotations: dict[str, str] = Field(
        default={}, description="on every pod, such as sidecar.istio.io/inject: 'false'"
    )
    run_as_user: int | None = Field(
        default=None, ge=1, description="user id of the containers; the image's own (10001) if left out"
    )

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """The section with `values` in place of the defaults; a step's values in place of that step's defaults.

        Raises:
            BadInput: naming the first key that is unknown or whose value does not fit.
        """
        values = dict(_mapping("cluster", values))
        one = {"gpu": Gpu, "retry": Retry, "state": Claim, "data": Claim}
        several = {"tolerations": Toleration, "secrets": FromSecret, "config_maps": FromSecret}
        for key, kind in one.items():
            if values.get(key) is not None:
                values[key] = kind.parse(_mapping(f"cluster.{key}", values[key])).model_dump()
        for key, kind in several.items():
            for item in _list(f"cluster.{key}", values.get(key) or []):
                kind.parse(_mapping(f"cluster.{key}", item))
        values["steps"] = _steps(_mapping("cluster.steps", values.get("steps") or {}))
        parsed = super().parse(values)
        if parsed.state and parsed.state_prefix:
            raise BadInput(
                "cluster.state and cluster.state_prefix: training keeps its state in one place; give one of them"
            )
        return parsed

    @property
    def state_dir(self) -> str:
        """Where training keeps its state: a mounted path, an `s3://` prefix, or the pod's own disk (lost with it)."""
        return self.state.mount if self.state else self.state_prefix or "/tmp/state"


def _list(where: str, values: object) -> list[Any]:
    if not isinstance(values, list):
        raise BadInput(f"{where}: takes a list (received {shorten(values)})")
    return values


def _mapping(where: str, values: object) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise BadInput(f"{where}: takes `name: value` lines (received {shorten(values)})")
    return values


def _steps(given: Mapping[str, Any]) -> dict[str, Any]:
    steps = {name: step.model_dump() for name, step in STEPS.items()}
    for name, values in given.items():
        if name not in steps:
            raise BadInput(f"cluster.steps.{name}: no such step; {nearest(str(name), steps)}")
        steps[name] = Step.parse({**steps[name], **_mapping(f"cluster.steps.{name}", values)}).model_dump()
    return steps


@dataclass(frozen=True)
class Images:
    """The addresses of the two images, checked to be immutable."""

    cpu: str
    gpu: str

    def of(self, step: str) -> str:
        """The image in which a step runs."""
        return self.gpu if step == TRAIN else self.cpu


@dataclass(frozen=True)
class Placing:
    """Puts the cluster's settings on the pipeline's tasks; called once for each task."""

    cluster: Cluster
    images: Images

    def __call__(self, task: PipelineTask, step: str) -> PipelineTask:
        """The task of step `step`, with its image, resources, retries, volumes and references to Secrets."""
        image = self.images.of(step)
        task.set_container_image(image).set_env_variable(IMAGE_VARIABLE, image)
        self._ask_for_resources(task, self.cluster.steps[step])
        self._keep_trying(task, self.cluster.steps[step])
        self._say_who_it_is(task)
        self._give_environment(task, step)
        self._mount_volumes(task, step)
        if step == TRAIN:
            self._go_where_the_gpus_are(task)
        return task

    def _ask_for_resources(self, task: PipelineTask, step: Step) -> None:
        task.set_cpu_request(step.cpu).set_memory_request(step.memory)
        if step.cpu_limit:
            task.set_cpu_limit(step.cpu_limit)
        if step.memory_limit:
            task.set_memory_limit(step.memory_limit)

    def _keep_trying(self, task: PipelineTask, step: Step) -> None:
        retry = self.cluster.retry
        if step.retries:
            longest = f"{retry.longest_seconds}s"
            task.set_retry(step.retries, f"{retry.wait_seconds}s", retry.factor, longest)
        if step.timeout_minutes:
            kubernetes.set_timeout(task, step.timeout_minutes * 60)

    def _say_who_it_is(self, task: PipelineTask) -> None:
        kubernetes.set_image_pull_policy(task, self.cluster.image_pull_policy)
        if self.cluster.image_pull_secrets:
            kubernetes.set_image_pull_secrets(task, self.cluster.image_pull_secrets)
        kubernetes.set_security_context(task, run_as_user=self.cluster.run_as_user, run_as_non_root=True)
        for key, value in self.cluster.labels.items():
            kubernetes.add_pod_label(task, key, value)
        for key, value in self.cluster.annotations.items():
            kubernetes.add_pod_annotation(task, key, value)

    def _give_environment(self, task: PipelineTask, step: str) -> None:
        for secret in self.cluster.secrets:
            if not secret.steps or step in secret.steps:
                kubernetes.use_secret_as_env(task, secret.name, secret.keys, secret.optional)
        for config_map in self.cluster.config_maps:
            if not config_map.steps or step in config_map.steps:
                kubernetes.use_config_map_as_env(task, config_map.name, config_map.keys, config_map.optional)

    def _mount_volumes(self, task: PipelineTask, step: str) -> None:
        kubernetes.empty_dir_mount(task, volume_name="scratch", mount_path="/tmp", size_limit=self.cluster.scratch)
        if self.cluster.data and step in READS_CSV:
            _mount(task, self.cluster.data)
        if step != TRAIN:
            return
        if self.cluster.state:
            _mount(task, self.cluster.state)
        if self.cluster.shared_memory:
            kubernetes.empty_dir_mount(
                task,
                volume_name="shared-memory",
                mount_path="/dev/shm",
                medium="Memory",
                size_limit=self.cluster.shared_memory,
            )

    def _go_where_the_gpus_are(self, task: PipelineTask) -> None:
        if self.cluster.gpu.count:
            task.set_accelerator_type(self.cluster.gpu.type).set_accelerator_limit(self.cluster.gpu.count)
        for key, value in self.cluster.node_selector.items():
            kubernetes.add_node_selector(task, key, value)
        for taint in self.cluster.tolerations:
            kubernetes.add_toleration(
                task, taint.key, taint.operator, taint.value or None, taint.effect or None, taint.seconds
            )


def _mount(task: PipelineTask, volume: Claim) -> None:
    kubernetes.mount_pvc(task, pvc_name=volume.claim, mount_path=volume.mount, sub_path=volume.sub_path)
