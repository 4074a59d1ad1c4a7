"""What every step does around its work: it checks its code, prints lines for people, and ends with one sentence."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ferkit.code_version import check_step_version
from ferkit.disk import is_full, no_room
from ferkit.errors import UserError, in_one_line
from ferkit.store_errors import explain, is_out_of_reach
from ferkit.user_input import shown

LOG = logging.getLogger("ferpipe")

LINE_MARK = "ferpipe| "
"""Starts every line meant for a person; `pipeline/progress.py` picks these out of kfp's output."""

WARNING_MARK = "ferpipe~ "
"""Starts a line that is not to be overlooked."""

ERROR_MARK = "ferpipe! "
"""Starts the one sentence a failing step leaves."""

OUT_OF_REACH_MARK = "ferpipe? "
"""Starts that sentence where the step did not get at something that it needs: another try may."""

PARENT_MARK = "ferpipe= "
"""Starts the line with which `open_run` tells the command that runs the pipeline the id of its MLflow run."""

LAST_WORDS = "FERPIPE_LAST_WORDS"
"""Environment variable with the file in which a local run's failing step leaves its sentence, for `close_run`."""

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes takes a pod's last words from, for `kubectl describe` and those who ask its API."""


@contextmanager
def step_context(name: str, code_version: str = "") -> Iterator[logging.Logger]:
    """Runs the body of step `name`.

    Yields the logger whose lines reach the person who started the pipeline. The LAST line logged at INFO is the step's
    summary on the terminal ("32,298 rows read, 30,915 kept"), so end with the one that counts; one logged as a warning
    stays.

    Args:
        name: of the step.
        code_version: digest of the step's code with which the pipeline was made; empty where nobody made one.

    Raises:
        SystemExit: status 1, after the sentence of a `UserError` was printed. Any other exception passes on, so that
            its traceback is in the log.
    """
    try:
        with lines_on_stdout(_Marked()):
            check_step_version(name, code_version)
            yield LOG
    except UserError as error:
        _tell(error, f"{name}: {shown(error)}")
        raise SystemExit(1) from None
    except Exception as error:
        # An executor that lost its connection, a full disk: the traceback below says where, this line says what.
        _tell(error, f"{name}: {_sentence(error)}")
        raise


@contextmanager
def lines_on_stdout(formatter: logging.Formatter | None = None) -> Iterator[logging.Logger]:
    """Prints what a step's work logs, each line as it is unless a formatter says otherwise; errors pass on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    try:
        yield LOG
    finally:
        LOG.removeHandler(handler)


def _tell(error: Exception, sentence: str) -> None:
    """To the command that runs the pipeline, to `close_run`, and to Kubernetes."""
    print(f"{OUT_OF_REACH_MARK if is_out_of_reach(error) else ERROR_MARK}{sentence}", flush=True)
    _tell_close_run(sentence)
    _tell_kubernetes(sentence)


def _sentence(error: Exception) -> str:
    """What an error says that is no `UserError`: MLflow's is known, with its cure, where MLflow was imported."""
    if type(error).__module__.startswith("mlflow."):
        from mlflow import get_tracking_uri

        return explain(error, get_tracking_uri())
    if isinstance(error, OSError) and is_full(error):
        return no_room(error)
    return in_one_line(error)


class _Marked(logging.Formatter):
    """Puts a mark before the line, by its level."""

    def format(self, record: logging.LogRecord) -> str:
        """The marked line."""
        return (WARNING_MARK if record.levelno >= logging.WARNING else LINE_MARK) + super().format(record)


def last_words() -> str:
    """The sentence of the step that failed, in a local run; empty where none left one."""
    try:
        return Path(os.environ[LAST_WORDS]).read_text(encoding="utf-8")
    except (KeyError, OSError):
        return ""


def _tell_close_run(sentence: str) -> None:
    """The first step that fails is why the run does."""
    if path := os.environ.get(LAST_WORDS):
        with suppress(OSError), Path(path).open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(sentence)


def _tell_kubernetes(sentence: str) -> None:
    """In a pod, leaves the sentence where Kubernetes looks for it; elsewhere there is no such file."""
    if TERMINATION_LOG.exists():
        with suppress(OSError):
            TERMINATION_LOG.write_text(sentence[:4096])
