"""What a person sees of kfp's output."""

import io
import re

import pytest
from rich.console import Console

from pipeline.progress import Progress

CYAN, GREEN, RED, RESET = "\x1b[96m", "\x1b[92m", "\x1b[91m", "\x1b[0m"


def shown(*lines: str) -> tuple[str, Progress]:
    """What is printed for these lines of kfp's output, without a terminal."""
    console = Console(file=io.StringIO(), width=100)
    progress = Progress(console)
    for line in lines:
        progress.read(line)
    progress.close()
    return console.file.getvalue(), progress  # type: ignore[attr-defined]


def started(task: str) -> str:
    return f"03:29:18.356 - INFO - Executing task {CYAN}'{task}'{RESET}\n"


def finished(task: str, colour: str = GREEN, status: str = "SUCCESS") -> str:
    return f"03:29:18.353 - INFO - Task {CYAN}'{task}'{RESET} finished with status {colour}{status}{RESET}\n"


def test_a_step_is_one_line_with_its_last_note():
    text, _ = shown(
        started("ingest"),
        "    [KFP Executor 2026-11-21 INFO]: Got executor_input:\n",
        "    ferpipe| 100 rows read\n",
        "    ferpipe| 5,000 rows read, 4,900 kept\n",
        finished("ingest"),
    )
    assert len(text.splitlines()) == 1
    assert "ingest" in text
    assert "5,000 rows read, 4,900 kept" in text
    assert "100 rows read\n" not in text
    assert "KFP" not in text


def test_names_are_the_steps_names_not_kfps():
    text, _ = shown(started("open-run"), finished("open-run"))
    assert "open_run" in text
    text, _ = shown(started("evaluate-2"), "    ferpipe| ensemble-of-2: 510 test faces\n", finished("evaluate-2"))
    assert re.match(r"✓ evaluate +[\d.]+ s  ensemble-of-2: 510 test faces", text)


def test_a_cached_step_says_so():
    text, _ = shown("03:29:18.353 - INFO - Task ingest cache hit (key=0123456789ab); skipping execution.\n")
    assert "cached" in text


def test_the_failing_steps_own_sentence_is_kept():
    text, progress = shown(
        started("ingest"),
        "    ferpipe! ingest: fer.csv: no column 'pixels'; the header is 'a,b'\n",
        finished("ingest", RED, "FAILURE"),
        started("close-run"),
        "    ferpipe| MLflow run 1f FAILED\n",
        finished("close-run"),
    )
    assert progress.failure == "ingest: fer.csv: no column 'pixels'; the header is 'a,b'"
    assert "✗ ingest        0.0 s  fer.csv: no column 'pixels'; the header is 'a,b'\n" in text


def test_a_step_that_dies_without_a_sentence_leaves_its_exception():
    _, progress = shown(
        started("train"),
        "    Traceback (most recent call last):\n",
        "    ModuleNotFoundError: No module named 'jax'\n",
        finished("train", RED, "FAILURE"),
    )
    assert progress.failure == "train: ModuleNotFoundError: No module named 'jax'"


def test_a_step_that_is_killed_says_so():
    _, progress = shown(started("train"), finished("train", RED, "FAILURE"))
    assert progress.failure.startswith("train: ended without a word")


@pytest.mark.parametrize(
    "line",
    [
        "2026/11/26 18:09:14 INFO mlflow.system_metrics.system_metrics_monitor: Started monitoring system metrics.",
        "I0000 00:00:1795707262.008106    4566 port.cc:153] oneDNN custom operations are on.",
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    ],
)
def test_what_a_library_logged_before_a_step_was_killed_is_not_why(line: str):
    _, progress = shown(started("train"), f"    {line}\n", finished("train", RED, "FAILURE"))
    assert progress.failure.startswith("train: ended without a word")


def test_square_brackets_in_a_note_are_shown_as_they_are():
    text, _ = shown(started("train"), "ferpipe| epoch [3/8]\n", finished("train"))
    assert "[3/8]" in text


EPOCHS = [f"    ferpipe| lenet-tuned-s0: epoch {number}/3: loss 1.5\n" for number in (1, 2, 3)]


def test_without_a_terminal_every_epoch_is_a_line():
    text, _ = shown(started("train"), *EPOCHS, "    ferpipe| lenet-tuned-s0: 3 epochs\n", finished("train"))
    lines = text.splitlines()
    assert [f"epoch {number}/3: loss 1.5" in line for number, line in enumerate(lines[:3], 1)] == [True] * 3
    assert len(lines) == 4
    assert lines[3].startswith("✓ train")


def test_on_a_terminal_epochs_are_a_bar():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    progress = Progress(console)
    for line in (started("train"), *EPOCHS[:2]):
        progress.read(line)
    with console.capture() as captured:
        console.print(progress._live.renderable)
    progress.close()
    assert "epoch 2/3: loss 1.5" in captured.get()
    assert "━" * 13 in captured.get()  # two thirds of 20


def test_a_warning_stays():
    text, _ = shown(started("train"), "    ferpipe~ no GPU here\n", "    ferpipe| done\n", finished("train"))
    assert [line.split()[0] for line in text.splitlines()] == ["!", "✓"]
    assert "no GPU here" in text
