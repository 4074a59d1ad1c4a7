"""What a search leaves on the parent run when its trials are over: tables, pictures, the best one as a config."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import mlflow
from mlflow.artifacts import load_text
from mlflow.entities import Metric, Run, RunTag

from ferkit.report.search_pictures import draw_history, draw_importance, draw_parallel_coordinates, finished_in
from ferkit.report.search_tables import best_config, trials_csv
from ferkit.report.style import figure_style
from ferkit.search.importance import importances_of
from ferkit.search.trials import SearchRecord
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking.names import State
from ferkit.yaml_input import read_yaml

FOLDER = "search"
NOTE = "search.importance"
"""Tag of a parent run: why there is no picture of importance."""


def show_search(client: mlflow.MlflowClient, parent: Run, search: SearchRecord, log: logging.Logger) -> None:
    """Logs `search/` to the parent run, and ends the search's own run. A picture that cannot be drawn is a warning."""
    run_id = parent.info.run_id
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "trials.csv").write_text(trials_csv(search))
        parameters = read_yaml(load_text(f"runs:/{run_id}/parameters.yaml"), f"run {run_id}")
        (folder / "best.yaml").write_text(best_config(search, parameters, run_id))
        try:
            notes = draw_pictures(search, folder)
        except Exception as error:
            if is_out_of_reach(error):
                raise
            notes = [f"the search could not be drawn: {type(error).__name__}: {' '.join(str(error).split())}"]
            log.warning("%s", notes[0])
        client.log_artifacts(run_id, name, FOLDER)
    best = {
        "search/trials": len(search.trials),
        "search/pruned": search.count(State.PRUNED),
        "search/failed": search.count(State.FAILED),
        "search/train_seconds": search.seconds,
    }
    client.log_batch(
        run_id,
        metrics=[Metric(name, float(value), 0, 0) for name, value in best.items()],
        tags=[RunTag(NOTE, "; ".join(notes))] if notes else [],
    )
    client.set_terminated(search.run_id)


def draw_pictures(search: SearchRecord, folder: Path) -> list[str]:
    """Writes the pictures into a folder; returns the sentences that say what there was too little for."""
    spaces = range(len(search.plan.spaces.spaces))
    endings = [f"_{space + 1}" for space in spaces] if len(spaces) > 1 else [""]
    importances, notes = importances_of(search)
    with figure_style():
        draw_history(search).savefig(folder / "history.png")
        for space in spaces:
            if finished_in(search, space):
                draw_parallel_coordinates(search, space).savefig(folder / f"parallel_coordinates{endings[space]}.png")
        for importance in importances:
            draw_importance(search, importance).savefig(folder / f"importance{endings[importance.space]}.png")
    return notes
