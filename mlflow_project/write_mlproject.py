"""Writes MLproject anew: `make mlproject`."""

from pathlib import Path

from mlflow_project.entry_points import mlproject_text

if __name__ == "__main__":
    (Path(__file__).resolve().parent.parent / "MLproject").write_text(mlproject_text())
