"""Whether a trial is pruned: its best score so far against those of the finished trials at the same epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final

import mlflow
from mlflow.entities import Run

from ferkit.search.record import read_plan
from ferkit.search.space import Point, Spaces
from ferkit.search.study import first_epoch, has_fallen_behind
from ferkit.tracking import names, tree
from ferkit.tracking.names import State
from ferkit.training.settings import ResolvedTrain

EQUAL: Final = ("epochs", "schedule", "warmup_ratio", "batch_size")
"""Settings that two trials have to share for their metrics at an epoch to say anything of each other."""


_RECIPE: Final = ("architecture", "recipe", "optimizer")
"""What a recipe's values go by, see `ferkit.training.candidate.candidate_layers`."""


def find_unequal(spaces: Spaces) -> list[str]:
    """Those of `EQUAL` that trials of a search do not share: its space varies them, or what a recipe has them by."""
    trained: list[ResolvedTrain] = []
    for number, space in enumerate(spaces.spaces):
        ends = {name: space[name].ends for name in (*_RECIPE, *EQUAL) if name in space}
        few = (values if name in _RECIPE else values[:2] for name, values in ends.items())
        trained += [
            spaces.resolve(Point(number, dict(zip(ends, values, strict=True)))).train
            for values in itertools.product(*few)
        ]
    return [name for name in EQUAL if len({getattr(one, name) for one in trained}) > 1]


class Pruned(Exception):
    """A trial was pruned after `epoch`; the message says why."""

    def __init__(self, epoch: int, why: str) -> None:
        super().__init__(why)
        self.epoch = epoch


class Pruner:
    """Ends a trial that is among the worst quarter of the comparable ones: see `ferkit.search.study`."""

    def __init__(self, client: mlflow.MlflowClient, trial: Run) -> None:
        self._client = client
        self._experiment_id = trial.info.experiment_id
        self._comparable = " AND ".join(
            [
                f"tags.`{names.SEARCH_RUN}` = '{trial.data.tags[names.SEARCH_RUN]}'",
                *(f"params.`{name}` = '{trial.data.params[name]}'" for name in EQUAL),
            ]
        )
        self._epochs = int(trial.data.params["epochs"])
        self._scores: dict[int, float] = {}
        self._histories: dict[str, dict[int, float]] = {}

    def recall(self, scores: Iterable[float]) -> None:
        """Records the scores of the epochs, from the first, that were trained before the step was killed.

        They were judged then; trials that have finished since would prune what is trained already.
        """
        self._scores.update(enumerate(scores, 1))

    def watch(self, epoch: int, macro_f1: float) -> None:
        """Records the score of an epoch that has just been trained.

        Raises:
            Pruned: the trial has fallen behind.
        """
        self._scores[epoch] = macro_f1
        if not first_epoch(self._epochs) <= epoch < self._epochs:
            return
        finished = [self._history_of(run_id) for run_id in self._finished()]
        if has_fallen_behind(self._scores, finished, self._epochs):
            raise Pruned(
                epoch,
                f"pruned after epoch {epoch} of {self._epochs}: its best macro-F1 on validation, "
                f"{max(self._scores.values()):.3f}, is in the worst quarter of {len(finished)} finished trials",
            )

    def _finished(self) -> set[str]:
        """The run ids of the trials that trained to their end, on an equal schedule; each epoch asks for them."""
        return {
            run.info.run_id
            for state in (State.TRAINED, State.EVALUATED)
            for run in tree.search(
                self._client, self._experiment_id, f"{self._comparable} AND tags.`{names.STATE}` = '{state}'"
            )
        }

    def _history_of(self, run_id: str) -> dict[int, float]:
        """Macro-F1 on validation by epoch; of a trial that has finished, so it is read once."""
        if run_id not in self._histories:
            points = self._client.get_metric_history(run_id, names.EPOCH_MACRO_F1)
            self._histories[run_id] = {point.step: point.value for point in points}
        return self._histories[run_id]


def pruner_of(client: mlflow.MlflowClient, trial: Run) -> Pruner | None:
    """What watches a candidate's epochs; None for one of no search, or of a search that prunes none."""
    record_id = trial.data.tags.get(names.SEARCH_RUN)
    if not record_id or not read_plan(client.get_run(record_id)).search.prune:
        return None
    return Pruner(client, trial)
