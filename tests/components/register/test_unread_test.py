"""A pipeline run that was told to leave test unread registers nothing, and tells of validation in place of test."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import mlflow
import pytest
from made_up_candidates import evaluation
from mlflow.entities import Run
from rich.console import Console

from components.register.register import Registration, register_run_tree
from ferkit.metrics.evaluation import FILE, Evaluation
from ferkit.registry.settings import Register
from ferkit.registry.verdict import NOT_GATED, TEST_UNREAD
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NewCandidate, open_candidates, set_state
from ferkit.tracking.ranking import rank
from ferkit.tracking.short_ids import SHOWN
from ferkit.tracking.store import connect
from pipeline.runs import last_runs, print_runs
from pipeline.summary import print_summary, summary


class Unread(NamedTuple):
    """Such a pipeline run.

    Attributes:
        uri: of its store.
        client: of that.
        parent: its run's id.
        members: its candidates, best on validation first.
        done: what registering it came to.
    """

    uri: str
    client: mlflow.MlflowClient
    parent: str
    members: list[Run]
    done: Registration


@pytest.fixture(scope="module")
def ran(new_store: Callable[[Path], str], sample_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Unread:
    uri = new_store(tmp_path_factory.mktemp("unread"))
    client = connect(uri)
    tags = {names.RUN_KIND: "pipeline", names.NOTE: "which seed?"}
    parent = client.create_run(tree.experiment_id(client, names.EXPERIMENT), tags=tags)
    candidates = [NewCandidate(f"c{n}", f"lenet-s{n}", "lenet", {"seed": n}, {}) for n in range(3)]
    run_ids = open_candidates(client, parent, candidates)
    for seed, run_id in enumerate(run_ids):
        validation = evaluation(seed).splits["validation"]
        for name, value in validation.metrics.items():
            client.log_metric(run_id, names.metric("validation", name), value)
        mistakes = evaluation(seed).mistakes
        client.log_text(run_id, Evaluation(48, "d" * 32, {"validation": validation}, mistakes).to_json(), FILE)
        set_state(client, run_id, names.State.EVALUATED)
    faces = str(sample_faces)
    done = register_run_tree(client, parent, run_ids, faces, faces, Register(), logging.getLogger("test"))
    members = sorted(map(client.get_run, run_ids), key=rank, reverse=True)
    return Unread(uri, client, parent.info.run_id, members, done)


def test_nothing_is_registered(ran: Unread) -> None:
    assert ran.done.verdict == ""
    assert ran.done.summary.startswith(TEST_UNREAD)
    assert ran.client.search_registered_models() == []


def test_the_pipeline_run_says_why_and_shows_its_candidates_on_validation(ran: Unread) -> None:
    best, parent = ran.members[0], ran.client.get_run(ran.parent)
    tags, note = parent.data.tags, parent.data.tags["mlflow.note.content"]
    assert (tags[names.GATE_VERDICT], tags[names.VERDICT], tags[names.VERDICT_REASONS]) == (
        TEST_UNREAD,
        NOT_GATED,
        TEST_UNREAD,
    )
    assert tags[names.BEST_CANDIDATE] == best.info.run_name
    assert tags[names.COMPLETED] == "true"
    assert parent.data.metrics["eval_val/macro_f1"] == best.data.metrics["eval_val/macro_f1"]
    assert not [name for name in parent.data.metrics if name.startswith("test")]
    assert note.startswith(f"which seed?\n\n**not gated**: {TEST_UNREAD}\n")
    rows = [line for line in note.splitlines() if line.startswith("| [")]
    assert [row[3:].split("]")[0] for row in rows] == [member.info.run_name for member in ran.members]
    assert f"{best.data.metrics['eval_val/macro_f1']:.3f} \\[" in rows[0]
    assert {row.count("|") for row in note.splitlines() if row.startswith("|")} == {4}
    told = [ran.client.get_run(member.info.run_id).data.tags for member in ran.members]
    assert {(of[names.VERDICT], of[names.VERDICT_REASONS]) for of in told} == {(NOT_GATED, TEST_UNREAD)}


def test_the_report_shows_validation(ran: Unread) -> None:
    assert TEST_UNREAD in ran.done.report
    assert "Per class, on validation" in ran.done.report
    assert "accuracy, validation" in ran.done.report
    assert "test_clean" not in ran.done.report
    assert "models:/" not in ran.done.report, "there is no model to load"
    assert f"Most confident mistakes of {ran.members[0].info.run_name}" in ran.done.report


def test_the_terminal_says_why_where_the_report_is_and_what_comes_next(ran: Unread) -> None:
    parent = ran.parent
    console = Console(file=io.StringIO(), width=400)
    found = summary(ran.uri, parent)
    print_summary(found, console)
    print_runs(last_runs(ran.client, 1), console)
    told = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert f"verdict     {TEST_UNREAD}\n" in told
    assert Path(found.report).read_text().startswith("<!")
    assert not any("promote" in command for command in found.next)
    line = next(line for line in told.splitlines() if line.startswith(parent[:SHOWN]))
    assert "not gated" in line
