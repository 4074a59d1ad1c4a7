"""Puts the cluster's settings on the pipeline's tasks: images, resources, retries, volumes, references to Secrets."""

from __future__ import annotations

from dataclasses import dataclass

from kfp import kubernetes
from kfp.dsl import PipelineTask

from components.open_run.origin_tags import IMAGE_VARIABLE
from pipeline.cluster import READS_CSV, TRAIN, Claim, Cluster
from pipeline.step_resources import StepResources

LONGEST_SECONDS = 10 * 365 * 24 * 3600
"""Argo's `maxDuration`: the time from the FIRST attempt's start within which a further one may begin, and the deadline
of its pod. No number of attempts takes ten years, so that what bounds them is their number and their own timeouts.
kfp's default is an hour. Kubernetes takes 2**31 - 1 seconds at most."""


@dataclass(frozen=True)
class Images:
    """The addresses of the two images, checked to be immutable."""

    cpu: str
    gpu: str

    def of(self, step: str) -> str:
        """The image in which a step runs."""
        return self.gpu if step == TRAIN else self.cpu


@dataclass(frozen=True)
class ClusterTaskSettings:
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

    def _ask_for_resources(self, task: PipelineTask, step: StepResources) -> None:
        task.set_cpu_request(step.cpu).set_memory_request(step.memory)
        if step.cpu_limit:
            task.set_cpu_limit(step.cpu_limit)
        if step.memory_limit:
            task.set_memory_limit(step.memory_limit)

    def _keep_trying(self, task: PipelineTask, step: StepResources) -> None:
        retry = self.cluster.retry
        if step.retries:
            task.set_retry(step.retries, f"{retry.wait_seconds}s", retry.factor, f"{LONGEST_SECONDS}s")
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
