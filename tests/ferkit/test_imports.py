"""Imports run one way: pipeline, mlflow_project -> components/<step> -> ferkit; inside ferkit from above to below."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ROOMS = {
    # What each room of ferkit may import, beside itself and the modules that lie in ferkit itself.
    "tracking": set[str](),
    "data": set[str](),
    "networks": {"data"},
    "metrics": {"data", "tracking"},
    "training": {"data", "networks", "metrics"},
    # Apart from training, which knows nothing of MLflow: a search's study is what MLflow says of its trials.
    "search": {"data", "networks", "metrics", "training", "tracking"},
    "serving": {"data", "networks", "metrics", "tracking"},
    "registry": {"data", "networks", "metrics", "tracking", "training", "serving"},
    # A report tells a verdict of the registry's, which knows nothing of reports.
    "report": {"data", "networks", "metrics", "tracking", "training", "search", "serving", "registry"},
}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def found(folder: str, forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(folder)
        for name in imports_of(path)
        if name.split(".")[0] in forbidden
    ]


def test_the_library_imports_neither_steps_nor_pipeline_nor_kfp_nor_click():
    assert found("ferkit", {"components", "pipeline", "mlflow_project", "kfp", "click", "rich"}) == []


def test_steps_import_nothing_above_them():
    assert found("components", {"pipeline", "mlflow_project", "click"}) == []


def test_no_step_imports_another():
    wrong = []
    for path in modules("components"):
        step = path.relative_to(ROOT / "components").parts[0]
        for name in imports_of(path):
            root, _, rest = name.partition(".")
            if root == "components" and rest.split(".")[0] not in (step, "CPU_IMAGE", "GPU_IMAGE", "__version__"):
                wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_the_library_imports_only_what_lies_below_it(room: str):
    wrong = []
    for path in modules(f"ferkit/{room}"):
        for name in imports_of(path):
            parts = name.split(".")
            if parts[0] == "ferkit" and parts[1] in ROOMS and parts[1] not in ROOMS[room] | {room}:
                wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert wrong == []


def test_the_modules_in_the_library_itself_import_no_room():
    wrong = []
    for path in (ROOT / "ferkit").glob("*.py"):
        wrong += [
            f"{path.name}: {name}" for name in imports_of(path) if name.split(".")[1:2] in [[one] for one in ROOMS]
        ]
    assert wrong == []


def test_every_folder_of_components_is_a_step_with_a_component():
    folders = [path for path in (ROOT / "components").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [folder.name for folder in folders if not (folder / "component.py").is_file()] == []
    assert {path.name for path in (ROOT / "ferkit").iterdir() if path.is_dir()} - {"__pycache__"} == set(ROOMS)
