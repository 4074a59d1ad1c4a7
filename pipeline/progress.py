"""What a person sees of a local run: kfp's output as one calm line per step."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.text import Text

from ferkit.durations import duration
from ferkit.step import ERROR_MARK, LINE_MARK, OUT_OF_REACH_MARK, PARENT_MARK, WARNING_MARK

ANSI = re.compile(r"\x1b\[[0-9;]*m")
STARTED = re.compile(r"Executing task '(?P<task>[^']+)'")
EPOCH = re.compile(r"epoch (?P<done>\d+)/(?P<of>\d+):")
FINISHED = re.compile(r"Task '(?P<task>[^']+)' finished with status (?P<status>\w+)")
CACHED = re.compile(r"Task (?P<task>\S+) cache hit")
EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*")
SECOND = re.compile(r"-\d+$")
"""The second task of a step, such as the evaluation of the ensemble, is `evaluate-2` to kfp."""
CHATTER = re.compile(
    r"^(?:\d\d:\d\d:\d\d|\[KFP Executor|\d{4}-\d\d-\d\d |[-=]{5,}"
    r"|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:DEBUG|INFO|WARNING) |[IW]\d{4} \d\d:|WARNING: All log messages before absl)"
)
"""Lines around what a step says: kfp's, MLflow's log, TensorFlow's."""


@dataclass
class Progress:
    """Turns kfp's output into one line per step, and one per epoch; on a terminal, the running step has a live line.

    There, epochs are a bar in that line.
    """

    console: Console
    failure: str = ""
    is_out_of_reach: bool = False
    parent_run_id: str = ""
    failure_is_told: bool = False
    _task: str = ""
    _since: float = 0.0
    _note: str = ""
    _last_exception: str = ""
    _last_words: str = ""
    _live: Any = field(default=None)

    def read(self, line: str) -> None:
        """Takes in one line of output."""
        text = ANSI.sub("", line).strip()
        if found := STARTED.search(text):
            self._task, self._since, self._note = found["task"], time.monotonic(), ""
            self._last_exception = self._last_words = ""
            self._show_live()
        elif text.startswith(LINE_MARK):
            self._note = text.removeprefix(LINE_MARK)
            if EPOCH.search(self._note) and not self.console.is_terminal:
                self._line("[dim]·[/]", self._task, duration(time.monotonic() - self._since), self._note)
            self._show_live()
        elif text.startswith(PARENT_MARK):
            self.parent_run_id = text.removeprefix(PARENT_MARK)
        elif text.startswith(WARNING_MARK):
            self._line("[yellow]![/]", self._task, "", text.removeprefix(WARNING_MARK))
        elif text.startswith(ERROR_MARK):
            self.failure = self.failure or text.removeprefix(ERROR_MARK)
        elif text.startswith(OUT_OF_REACH_MARK):
            self.is_out_of_reach = self.is_out_of_reach or not self.failure
            self.failure = self.failure or text.removeprefix(OUT_OF_REACH_MARK)
        elif EXCEPTION.match(text):
            self._last_exception = text
        elif found := FINISHED.search(text):
            self._finish(found["task"], succeeded=found["status"] == "SUCCESS")
        elif found := CACHED.search(text):
            self._line(
                "[green]✓[/]", found["task"], "cached", "from an earlier run with the same data, parameters and code"
            )
        elif text and not CHATTER.match(text):
            self._last_words = text

    def _finish(self, task: str, succeeded: bool) -> None:
        self.close()
        took = duration(time.monotonic() - self._since)
        if succeeded:
            self._line("[green]✓[/]", task, took, self._note)
        else:
            # What the shell or kfp's wrapper says goes for a step that could not even start.
            said = self._last_exception or self._last_words[:300]
            step = step_of(task)
            sentence = self.failure or f"{step}: {said or 'ended without a word (killed?)'}"
            # Said at once: what ends the run after it may take its time.
            note = "failed" if self.failure_is_told else sentence.removeprefix(f"{step}: ")
            self.failure, self.failure_is_told = sentence, True
            self._line("[red]✗[/]", task, took, note)

    def _line(self, mark: str, task: str, took: str, note: str) -> None:
        self.console.print(
            f"{mark} [bold]{step_of(task):<10}[/] {took:>8}  {escape(note)}", soft_wrap=True, highlight=False
        )

    def _show_live(self) -> None:
        if not self.console.is_terminal:
            return
        shown: Any = f"[bold]{step_of(self._task):<10}[/] {escape(self._note)}"
        if epoch := EPOCH.search(self._note):
            bar = ProgressBar(total=int(epoch["of"]), completed=int(epoch["done"]), width=20)
            shown = Columns([Text.from_markup(shown), bar])
        if self._live is None:
            self._live = self.console.status(shown)
            self._live.start()
        else:
            self._live.update(shown)

    def close(self) -> None:
        """Takes the live line off the terminal."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def step_of(task: str) -> str:
    """The step that a task of kfp's is of.

    >>> step_of("open-run"), step_of("evaluate-2")
    ('open_run', 'evaluate')
    """
    return SECOND.sub("", task).replace("-", "_")
