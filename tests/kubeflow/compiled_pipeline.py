"""What the pipeline is compiled with here: every cluster setting, and secrets planted where they could leak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import Result

IMAGE = "registry.example/fer-pipeline:0123abcd"
CODE_VERSION = "0123456789abcdef"
MLFLOW = "http://mlflow.mlflow.svc:5000"

SECRETS = {
    "MLFLOW_TRACKING_USERNAME": "planted-user-4711",
    "MLFLOW_TRACKING_PASSWORD": "planted-password-4711",
    "AWS_ACCESS_KEY_ID": "PLANTEDKEY4711",
    "AWS_SECRET_ACCESS_KEY": "planted-secret-4711",
    "FERPIPE_WEBHOOK": "https://hooks.example/services/planted-webhook-4711",
    "KFP_TOKEN": "planted-token-4711",
}
"""In the environment while the pipeline is compiled and submitted; found nowhere afterwards."""

CLUSTER = """
gpu: {type: nvidia.com/gpu, count: 2}
node_selector: {gpu-pool: a100}
tolerations: [{key: nvidia.com/gpu, operator: Equal, value: "yes", effect: NoExecute, seconds: 60}]
shared_memory: 4Gi
candidates_at_once: 3
steps:
  train: {cpu: "6", cpu_limit: "8", memory: 24Gi, memory_limit: 32Gi, timeout_minutes: 90, retries: 5}
retry: {wait_seconds: 20, factor: 3}
deadline_hours: 48
time_to_live_hours: 2
state: {claim: training-state, mount: /state, sub_path: fer}
data: {claim: csv-files, mount: /data}
secrets:
  - {name: mlflow-credentials, keys: {user: MLFLOW_TRACKING_USERNAME, password: MLFLOW_TRACKING_PASSWORD}}
  - {name: s3-keys, keys: {id: AWS_ACCESS_KEY_ID, key: AWS_SECRET_ACCESS_KEY}, steps: [locate, ingest, train]}
  - {name: webhook, keys: {address: FERPIPE_WEBHOOK}, steps: [close_run], optional: true}
config_maps: [{name: s3-endpoint, keys: {url: AWS_ENDPOINT_URL}, steps: [locate, ingest]}]
service_account: trainer
image_pull_policy: Always
image_pull_secrets: [registry]
labels: {team: faces}
annotations: {sidecar.istio.io/inject: "false"}
run_as_user: 20001
"""


Submit = Callable[..., Result]
"""`ferpipe submit` with the arguments given; `tracking_uri=` and `host=` for other addresses."""


@dataclass(frozen=True)
class Compiled:
    """A compiled pipeline: the file, its IR, and its settings for Kubernetes per executor."""

    path: Path
    ir: dict[str, Any]
    kubernetes: dict[str, dict[str, Any]]

    def container(self, step: str) -> dict[str, Any]:
        """What runs for a step."""
        return self.ir["deploymentSpec"]["executors"][f"exec-{step.replace('_', '-')}"]["container"]

    def settings(self, step: str) -> dict[str, Any]:
        """A step's settings for Kubernetes."""
        return self.kubernetes[f"exec-{step.replace('_', '-')}"]

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Every task of the pipeline, by name."""
        dags = [self.ir["root"], *self.ir["components"].values()]
        return {name: task for dag in dags for name, task in dag.get("dag", {}).get("tasks", {}).items()}
