"""What each step asks of its node: cores, memory, time and attempts (`cluster.steps`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from ferkit.settings import Settings

CPU = re.compile(r"(\d+\.)?\d+m?")
MEMORY = re.compile(r"\d+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|K|Ki)?")
VOLUME_SIZE = re.compile(r"\d+(E|Ei|P|Pi|T|Ti|G|Gi|M|Mi|k|Ki)?")
"""As Kubernetes itself writes a thousand bytes; kfp, which converts memory, has a capital K."""


def check_volume_size(value: str) -> str:
    """The size of a volume, as Kubernetes writes it.

    Raises:
        ValueError: it is none.
    """
    if not VOLUME_SIZE.fullmatch(value):
        raise ValueError("a size is a whole number with Ki, M, Mi, G, Gi, T or Ti behind it")
    return value


class StepResources(Settings):
    """What one step asks of its node. Requests place the pod; a limit of memory, once passed, ends it."""

    section: ClassVar[str] = "cluster.steps"

    cpu: str = Field(default="250m", description="cores requested: `2`, or `500m` for half a core")
    cpu_limit: str = Field(default="", description="limit of cores; empty for no limit (a limit throttles)")
    memory: str = Field(default="512Mi", description="memory requested, such as `4Gi`")
    memory_limit: str = Field(default="", description="limit of memory; empty for none")
    timeout_minutes: int = Field(default=60, ge=0, description="an attempt's pod is ended after this long; 0 for never")
    retries: int = Field(
        default=2,
        ge=0,
        le=20,
        description="further attempts; training resumes from its last state. With Kubeflow's own Argo settings "
        "only after a pod was deleted or lost, not after a step failed or was killed for memory: docs/kubeflow.md "
        "has the cure",
    )

    @field_validator("cpu", "cpu_limit", mode="before")
    @classmethod
    def _number_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("cpu", "cpu_limit")
    @classmethod
    def _is_cpu(cls, value: str, about: ValidationInfo) -> str:
        if not _is_left_out(value, about) and not CPU.fullmatch(value):
            raise ValueError("cores are a number, or thousandths such as 500m")
        return value

    @field_validator("memory", "memory_limit")
    @classmethod
    def _is_memory(cls, value: str, about: ValidationInfo) -> str:
        if not _is_left_out(value, about) and not MEMORY.fullmatch(value):
            raise ValueError("memory is a whole number with K, Ki, M, Mi, G, Gi, T or Ti behind it")
        return value


def _is_left_out(value: str, about: ValidationInfo) -> bool:
    """Whether there is to be no limit; a request there always is."""
    return not value and str(about.field_name).endswith("_limit")


STEPS: Mapping[str, StepResources] = {
    "locate": StepResources(memory="512Mi", memory_limit="2Gi", timeout_minutes=30),
    "open_run": StepResources(memory="512Mi", memory_limit="2Gi", timeout_minutes=10),
    "ingest": StepResources(cpu="2", memory="2Gi", memory_limit="4Gi"),
    "balance": StepResources(cpu="2", memory="2Gi", memory_limit="4Gi"),
    "profile": StepResources(cpu="1", memory="2Gi", memory_limit="4Gi"),
    "train": StepResources(cpu="4", memory="8Gi", memory_limit="16Gi", timeout_minutes=24 * 60, retries=3),
    "finalists": StepResources(memory="512Mi", memory_limit="2Gi", timeout_minutes=10),
    "evaluate": StepResources(cpu="2", memory="4Gi", memory_limit="8Gi"),
    "ensemble": StepResources(cpu="2", memory="4Gi", memory_limit="8Gi"),
    "register": StepResources(cpu="2", memory="4Gi", memory_limit="8Gi"),
    "close_run": StepResources(memory="512Mi", memory_limit="2Gi", timeout_minutes=10),
}
"""For FER2013 (35,887 faces of 48 x 48)."""
