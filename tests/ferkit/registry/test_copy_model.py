"""A model from one registry to another, as docs/registry.md says: its own lines are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from ferkit.tracking import names
from ferkit.tracking.store import connect
from pipeline.cli import cli

if TYPE_CHECKING:
    from tests.conftest import LoggedModel

PAGE = Path(__file__).parents[3] / "docs" / "registry.md"


def test_a_model_is_copied_judged_and_promoted_in_the_other_registry(
    logged_model: LoggedModel, new_store: Callable[[Path], str], sample_faces: Path, tmp_path: Path
) -> None:
    [lines] = re.findall(r"```python\n(# SOURCE=.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "copy_model.py").write_text(lines)
    # What MLflow's client says of itself in the environment would point both halves at one store.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    target = new_store(tmp_path)
    environment |= {"SOURCE": logged_model.tracking_uri, "TARGET": target}
    done = subprocess.run(
        [sys.executable, "copy_model.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "version 1"

    client = connect(target)
    version = client.get_model_version(names.REGISTERED_MODEL, "1")
    assert version.tags["copied_from"] == logged_model.tracking_uri
    assert version.tags["copied_run"] == logged_model.run_id
    assert str(tmp_path / "mlruns") in str(version.source)  # not where it came from

    lenient = ["--set", "register.floor_macro_f1=0", "--set", "register.floor_recall=0"]
    judged = CliRunner().invoke(cli, ["gate", "1", "--data", str(sample_faces), *lenient, "--tracking-uri", target])
    assert judged.exit_code == 0, judged.output
    promoted = CliRunner().invoke(cli, ["promote", "1", "--tracking-uri", target])
    assert promoted.output == "version 1 is champion, the first one\n"
    assert str(client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version) == "1"
