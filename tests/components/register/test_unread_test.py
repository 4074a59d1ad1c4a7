"""A pipeline run that was told to leave test unread registers nothing, and tells of validation in place of test."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from evaluated import LOG, Evaluated, evaluate_three
from rich.console import Console

from components.register.register import Registration, register_run_tree
from ferkit.registry.settings import Register
from ferkit.registry.verdict import NOT_GATED, TEST_UNREAD
from ferkit.tracking import names
from ferkit.tracking.short_ids import SHOWN
from pipeline.runs import last_runs, print_runs
from pipeline.summary import print_summary, summary


@pytest.fixture(scope="module")
def ran(
    new_store: Callable[[Path], str], sample_faces: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Evaluated, Registration]:
    """The address of a store with such a run, the run, and what registering it came to."""
    folder = tmp_path_factory.mktemp("unread")
    uri = new_store(folder)
    run = evaluate_three(uri, sample_faces, folder, read_test=False)
    run.client.set_tag(run.parent.info.run_id, names.NOTE, "which seed?")
    run_ids = [member.info.run_id for member in run.members]
    faces = str(sample_faces)
    return uri, run, register_run_tree(run.client, run.parent, run_ids, faces, faces, Register(), LOG)


def test_nothing_is_registered(ran: tuple[str, Evaluated, Registration]) -> None:
    _, run, done = ran
    assert done.verdict == ""
    assert done.summary.startswith(TEST_UNREAD)
    assert run.client.search_registered_models() == []


def test_the_pipeline_run_says_why_and_shows_its_candidates_on_validation(
    ran: tuple[str, Evaluated, Registration],
) -> None:
    _, run, _ = ran
    best, parent = run.members[0], run.client.get_run(run.parent.info.run_id)
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
    assert [row[3:].split("]")[0] for row in rows] == [member.info.run_name for member in run.members]
    assert f"{best.data.metrics['eval_val/macro_f1']:.3f} \\[" in rows[0]
    assert {row.count("|") for row in note.splitlines() if row.startswith("|")} == {4}
    told = [run.client.get_run(member.info.run_id).data.tags for member in run.members]
    assert {(of[names.VERDICT], of[names.VERDICT_REASONS]) for of in told} == {(NOT_GATED, TEST_UNREAD)}


def test_the_report_shows_validation(ran: tuple[str, Evaluated, Registration]) -> None:
    _, run, done = ran
    assert TEST_UNREAD in done.report
    assert "Per class, on validation" in done.report
    assert "accuracy, validation" in done.report
    assert "test_clean" not in done.report
    assert "models:/" not in done.report, "there is no model to load"
    assert f"Most confident mistakes of {run.members[0].info.run_name}" in done.report


def test_the_terminal_says_why_where_the_report_is_and_what_comes_next(
    ran: tuple[str, Evaluated, Registration],
) -> None:
    uri, run, _ = ran
    parent = run.parent.info.run_id
    console = Console(file=io.StringIO(), width=400)
    found = summary(uri, parent)
    print_summary(found, console)
    print_runs(last_runs(run.client, 1), console)
    told = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert f"verdict     {TEST_UNREAD}\n" in told
    assert Path(found.report).read_text().startswith("<!")
    assert not any("promote" in command for command in found.next)
    line = next(line for line in told.splitlines() if line.startswith(parent[:SHOWN]))
    assert "not gated" in line
