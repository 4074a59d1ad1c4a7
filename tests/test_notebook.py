"""docs/notebook.ipynb, cell by cell in a fresh process, on a store that has a champion."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import LoggedModel

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "notebook.ipynb"

RUN = """
import json, sys
names = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin)):
    exec(compile(source, f"<cell {number}>", "exec"), names)
"""


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    return json.loads(NOTEBOOK.read_text())["cells"]


def test_it_is_kept_without_outputs(cells: list[dict[str, Any]]) -> None:
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []


@pytest.mark.slow
def test_every_cell_runs_and_it_ends_with_a_comparison_to_the_champion(
    cells: list[dict[str, Any]], logged_model: LoggedModel, tmp_path: Path
) -> None:
    store = shutil.copy(logged_model.tracking_uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{store}", "MPLBACKEND": "Agg", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(code),
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    printed = done.stdout.splitlines()
    assert printed[0].startswith("1,415 rows read, 1,399 faces of 48 x 48 kept")
    assert sum(line.startswith("epoch ") for line in printed) == 5
    assert "models:/facial-expression@champion" in printed
    assert printed[-1].startswith("macro-F1, this candidate less the champion: +0.")
