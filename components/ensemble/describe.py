"""An ensemble for people: the description of its run in MLflow."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow.entities import Run

from ferkit.tracking.markdown import escape


def as_markdown(members: Sequence[Run], shares: Sequence[float]) -> str:
    """The members with their weights and links to their runs: the description of the ensemble's run."""
    lines = [
        "The weighted mean of these models' probabilities, as one network:",
        "",
        "| weight | member |",
        "| --- | --- |",
    ]
    for run, share in zip(members, shares, strict=True):
        link = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        lines.append(f"| {share:.3f} | [{escape(str(run.info.run_name))}]({link}) |")
    return "\n".join([*lines, ""])
