"""A folder in which `ferpipe` runs as a person would start it, with an MLflow store of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
from mlflow.entities import Run

ROOT = Path(__file__).resolve().parent.parent.parent

# Two networks small enough for seconds, on faces drawn large enough to be learnt a little.
TWO_NETWORKS = """
balance: {strategy: augmented_oversampling}
train: {recipe: tuned, epochs: 2, batch_size: 64, tta: none}
candidates:
  - {architecture: lenet, width: 0.125}
  - {architecture: multi_kernel, width: 0.125}
register: {floor_macro_f1: 0.0, floor_recall: 0.0}
"""


class Place:
    """A folder with an MLflow store of its own, and the command run in it."""

    def __init__(self, folder: Path, tracking_uri: str = "", config: str = TWO_NETWORKS) -> None:
        """Writes the config.

        Args:
            folder: for the config, and whatever the runs leave.
            tracking_uri: of a store that is there; without one, the first run makes it.
            config: as YAML.
        """
        self.folder = folder
        self.tracking_uri = tracking_uri or f"sqlite:///{folder / 'mlflow.db'}"
        self.config = folder / "config.yaml"
        self.config.write_text(config)

    def ferpipe(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs `ferpipe`, from the sources that `cwd` holds."""
        command = [sys.executable, "-m", "pipeline.cli", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=self.environment, cwd=cwd or ROOT, check=False
        )

    def succeeds(self, *arguments: str, cwd: Path | None = None) -> str:
        """Runs `ferpipe`, which has to end well; what it printed."""
        done = self.ferpipe(*arguments, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, csv: Path, *arguments: str, cwd: Path | None = None) -> str:
        """`ferpipe run` on a CSV, which has to end well; what it printed."""
        return self.succeeds("run", "--csv", str(csv), "--config", str(self.config), *arguments, cwd=cwd)

    def data_steps(self, csv: Path, cwd: Path | None = None) -> dict[str, str]:
        """Whether ingest and balance were `made` or `cached` in a run that gets no further than training (no GPU)."""
        arguments = ["--csv", str(csv), "--config", str(self.config), "--set", "train.require_gpu=true"]
        printed = self.ferpipe("run", *arguments, cwd=cwd).stdout
        found = re.findall(r"^✓ (ingest|balance) +(cached|[\d.]+ s)", printed, re.MULTILINE)
        return {step: "cached" if took == "cached" else "made" for step, took in found}

    def cache_entries(self) -> list[Path]:
        """What the local cache holds."""
        return list((self.folder / "home" / "cache").glob("*.json"))

    @property
    def environment(self) -> dict[str, str]:
        """This process's, with the folder's own store and home."""
        home = str(self.folder / "home")
        # MLflow keeps what another test of this process connected to in the environment.
        mlflow_here = {"MLFLOW_TRACKING_URI": self.tracking_uri, "MLFLOW_REGISTRY_URI": self.tracking_uri}
        return {**os.environ, **mlflow_here, "FERPIPE_HOME": home}

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)

    def parents(self) -> list[Run]:
        """The pipeline runs, newest first."""
        experiment = self.client.get_experiment_by_name("facial-expression")
        return list(self.client.search_runs([experiment.experiment_id], "tags.`run.kind` = 'pipeline'"))

    def children(self, parent: Run) -> list[Run]:
        """The candidates' runs under a pipeline run."""
        query = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        return list(self.client.search_runs([parent.info.experiment_id], query))

    def artifacts(self, run_id: str, path: str = "") -> set[str]:
        """Every file of a run."""
        found: set[str] = set()
        for item in self.client.list_artifacts(run_id, path):
            found |= self.artifacts(run_id, item.path) if item.is_dir else {item.path}
        return found
