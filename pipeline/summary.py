"""The results of a finished pipeline run, read from MLflow: candidates, verdict, registered versions, next step."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run
from rich.console import Console
from rich.markup import escape

from ferkit.addresses import ui_address
from ferkit.errors import UserError
from ferkit.registry import versions
from ferkit.registry.state import RegistryState, read_state
from ferkit.registry.verdict import APPROVED
from ferkit.search.trials import describe_search, find_search
from ferkit.store_errors import is_out_of_reach
from ferkit.tracking import names
from ferkit.tracking.short_ids import SHOWN
from ferkit.tracking.store import connect
from ferkit.tracking.views import view_path
from pipeline.candidates import shown_candidates
from pipeline.compare import Row, rows_of
from pipeline.comparison_table import print_table
from pipeline.groups import GroupRow, groups_of, print_groups
from pipeline.run_report import local_report
from pipeline.trials_table import print_trials, top_trials


@dataclass(frozen=True)
class Summary:
    """A finished pipeline run.

    Attributes:
        run_id: the parent run's.
        report: path of its report on this machine; empty where MLflow keeps it elsewhere.
        address: its candidates side by side, in the MLflow UI.
        candidates: their metrics, best on validation first.
        groups: of those that were trained with several seeds, mean and standard deviation.
        model: the registered model that they are versions of.
        verdict: what the gate said.
        approved: whether one of these candidates may become champion.
        challenger: version that may be promoted; empty when there is none.
        champion: version that serves; empty when there is none.
        next: the commands that come next.
        trials: of a search, the best first: number, name, state, macro-F1 on validation at the kept epoch, that epoch,
            run_id; of a finalist also `evaluated`, the exported model's macro-F1 there, and its 95% `interval`.
        searched: how many trials there were, of which how many were pruned and failed; empty without a search.
    """

    run_id: str
    report: str
    address: str
    candidates: Sequence[Row]
    groups: Sequence[GroupRow]
    model: str
    verdict: str
    approved: bool
    challenger: str
    champion: str
    next: Sequence[str]
    trials: Sequence[Mapping[str, Any]] = ()
    searched: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def summary(tracking_uri: str, parent_run_id: str) -> Summary:
    """Reads what became of a pipeline run from its MLflow."""
    client = connect(tracking_uri)
    parent = client.get_run(parent_run_id)
    search = find_search(client, parent)
    candidates = [run.info.run_id for run in shown_candidates(client, parent)]  # all trials have their own table
    model = versions.model_of(parent)
    state = find_state(client, model)
    challenger, champion = state.challenger or "", state.champion or ""
    rows = rows_of(client, candidates, model)
    return Summary(
        run_id=parent_run_id,
        report=str(local_report(parent) or ""),
        address=ui_address(tracking_uri) + view_path(parent.info.experiment_id),
        candidates=rows,
        groups=groups_of(client, candidates),
        model=model,
        verdict=parent.data.tags.get(names.GATE_VERDICT, ""),
        approved=any(row.verdict == APPROVED for row in rows),
        challenger=challenger,
        champion=champion,
        next=[f"{command()} {rest}" for rest in next_commands(client, parent, rows, challenger)]
        + ([f"{command()} run --config runs:/{parent_run_id}/search/best.yaml"] if search else []),
        trials=top_trials(search) if search else (),
        searched=describe_search(search) if search else "",
    )


def next_commands(client: mlflow.MlflowClient, parent: Run, rows: Sequence[Row], challenger: str) -> list[str]:
    """What to type after a run: promote only where this run's own challenger waits for it."""
    model = versions.model_of(parent)
    own = (model, challenger) in [(row.model, row.version) for row in rows if row.version]
    promote = [f"promote{named_model(client, model)}"] if own else []
    return [*promote, f"compare {parent.info.run_id}", "ui"]


def named_model(client: mlflow.MlflowClient, model: str) -> str:
    """` --model NAME`, where there are several registered models of ours to choose from; empty where there is one."""
    return f" --model {model}" if len(versions.our_models(client)) > 1 else ""


def command() -> str:
    """How to call `ferpipe` here: by its path, unless this environment's is the one that the shell would find."""
    here = Path(sys.executable).with_name("ferpipe")
    found = shutil.which("ferpipe")
    if not here.exists() or (found and Path(found).samefile(here)):
        return "ferpipe"
    return os.path.relpath(here) if here.is_relative_to(Path.cwd()) else str(here)


def print_summary(found: Summary, console: Console) -> None:
    """The end of `ferpipe run` on the terminal."""
    print_trials(found.searched, found.trials, console)
    console.print()
    print_table(found.candidates, console)
    print_groups(found.groups, console)
    colour = "green" if found.approved else "yellow"
    console.print(f"\n[bold]verdict[/]     [{colour}]{escape(found.verdict)}[/]", soft_wrap=True, highlight=False)
    champion = f"version {found.champion}" if found.champion else "none yet"
    challenger = f"version {found.challenger}" if found.challenger else "none"
    console.print(f"[bold]registry[/]    {found.model}: champion {champion}, challenger {challenger}")
    report = found.report or f"{command()} report {found.run_id[:SHOWN]}"
    console.print(f"[bold]report[/]      {escape(report)}", soft_wrap=True, highlight=False)
    console.print(f"[bold]in MLflow[/]   {escape(found.address)}", soft_wrap=True, highlight=False)
    console.print(f"[bold]next[/]        {escape(found.next[0])}")
    for further in found.next[1:]:
        console.print(f"            {escape(further)}", highlight=False)


def find_state(client: mlflow.MlflowClient, model: str) -> RegistryState:
    """Who is what of a registered model, by the record of promotions; nobody where there is no such model."""
    try:
        return read_state(client, model)
    except UserError:
        return RegistryState(None, None, ())
    except mlflow.MlflowException as error:
        if is_out_of_reach(error):
            raise
        return RegistryState(None, None, ())
