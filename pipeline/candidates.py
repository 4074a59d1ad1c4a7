"""Which candidates a command is about: those of runs and versions that a person names, or of the last pipeline runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import mlflow
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from ferkit.errors import UserError
from ferkit.registry import versions
from ferkit.registry.state import read_state
from ferkit.registry.versions import Version
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import state_of
from ferkit.tracking.names import State
from ferkit.tracking.paging import pages
from ferkit.tracking.ranking import validation_score
from ferkit.tracking.short_ids import RUN_ID, find_run


@dataclass(frozen=True)
class Found:
    """Candidates, and the pipeline runs that were passed over on the way to them.

    Attributes:
        run_ids: of the candidates, each once.
        passed_over: how many pipeline runs, by why: `failed`, `still running`, `without a scored candidate`.
    """

    run_ids: list[str]
    passed_over: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """A sentence for what was passed over; empty for nothing.

        >>> str(Found([], Counter({"failed": 2, "still running": 1})))
        'passed over 3 pipeline runs: 2 failed, 1 still running'
        """
        if not (total := self.passed_over.total()):
            return ""
        return f"passed over {total} pipeline run{'s' * (total > 1)}: {_counted(self.passed_over)}"


def _counted(runs: Counter[str]) -> str:
    return ", ".join(f"{count} {why}" for why, count in sorted(runs.items()))


def find_candidates(client: mlflow.MlflowClient, named: Sequence[str], model: str = "") -> list[str]:
    """Run ids of the candidates that a person named.

    Args:
        client: of the MLflow that holds them.
        named: run ids of candidates or of pipeline runs, whole or their first 7 characters or more, or versions of the
            registered model (`7`, `champion`).
        model: the registered model that versions are of; empty for the only one of ours.

    Raises:
        UserError: one of them is neither.
    """
    found: list[str] = []
    for name in named:
        run = find_named_run(client, name, model)
        found += [candidate.info.run_id for candidate in candidates_of(client, run)] or [run.info.run_id]
    return list(dict.fromkeys(found))


def candidates_of(client: mlflow.MlflowClient, parent: Run) -> list[Run]:
    """The candidates of a pipeline run, oldest first; of one that only registered, those that it registered."""
    registered = filter(None, parent.data.tags.get(names.CANDIDATES, "").split(","))
    return tree.children(client, parent) or [client.get_run(run_id) for run_id in registered]


def find_named_run(client: mlflow.MlflowClient, name: str, model: str = "") -> Run:
    """The run that a person named.

    Args:
        client: of the MLflow that holds it.
        name: its id, whole or 7 characters or more; or a version of the registered model (`7`, `champion`).
        model: the registered model that versions are of; empty for the only one of ours.

    Raises:
        UserError: there is no such run or version.
    """
    if RUN_ID.fullmatch(name):
        run = find_run(client, name)
        meant = run.data.tags.get(names.STANDS_FOR)
        return client.get_run(meant) if meant else run
    version = _version_called(client, name, model)
    if not version.run_id:
        raise UserError(f"version {version.number} was not registered from a run; pass run ids")
    return client.get_run(version.run_id)


def _version_called(client: mlflow.MlflowClient, name: str, model: str) -> Version:
    """A version by its number or alias; who is champion the record of promotions decides.

    Raises:
        UserError: there is none, which for anything but a number may mean that a run's id was mistyped.
    """
    if name.isdecimal():
        return versions.version_of(client, name, versions.choose_model(client, model))
    numbers = {each: _numbers(client, each) for each in ([model] if model else versions.our_models(client))}
    if not any(name in of_model for of_model in numbers.values()):
        if name == names.CHAMPION:
            raise UserError("there is no champion yet; `ferpipe promote` makes the challenger champion")
        raise UserError(
            f"{name!r} is no run's id (7 to 32 of its characters, 0-9 and a-f: `ferpipe runs` shows them) and no "
            f"version or alias of {', '.join(numbers) or 'a registered model'}"
        )
    chosen = versions.choose_model(client, model)
    return versions.version_of(client, numbers[chosen][name], chosen)


def _numbers(client: mlflow.MlflowClient, model: str) -> dict[str, str]:
    """The numbers of a registered model's versions that have an alias, by alias."""
    champion = read_state(client, model).champion
    return versions.aliases(client, model) | ({names.CHAMPION: champion} if champion else {})


def named_version(client: mlflow.MlflowClient, name: str, model: str = "") -> Version:
    """The version that a person named.

    Args:
        client: of the MLflow that holds it.
        name: number or alias; or the id, whole or 7 characters or more, of the candidate's run that it came from, or of
            a pipeline run, whose best candidate is meant.
        model: the registered model that it is of; empty for the only one of ours, or, of a run, whichever it is.

    Raises:
        UserError: there is no such version or run, or the run was not registered.
    """
    if not RUN_ID.fullmatch(name):
        return _version_called(client, name, model)
    run = find_named_run(client, name)
    told = run.data.tags.get(names.VERSION, "")
    if told and not model:
        of, _, number = told.rpartition("/")
        return versions.version_of(client, number, of)
    of_model = [model] if model else versions.our_models(client)
    found = [one for each in of_model for one in versions.versions(client, run.info.run_id, each)]
    if not found:
        raise UserError(
            f"run {run.info.run_id} ({run.info.run_name}) is no version of {model or 'a registered model'}; `ferpipe "
            "show` says what became of it"
        )
    return found[0]


def find_last_candidates(client: mlflow.MlflowClient, last: int) -> Found:
    """The candidates of the last finished pipeline runs that have one with a score; the others are passed over.

    Args:
        client: of the MLflow that holds them.
        last: how many pipeline runs.

    Raises:
        UserError: there is no such pipeline run.
    """
    found: list[str] = []
    passed_over: Counter[str] = Counter()
    since: Counter[str] = Counter()  # the last one that counted: what is older than all that are shown is not said
    for parent in _pipeline_runs(client):
        if parent.info.status != "FINISHED":
            since["still running" if tree.is_open(parent) else "failed"] += 1
            continue
        candidates = shown_candidates(client, parent)
        if not any(validation_score(run) is not None for run in candidates):
            since["without a scored candidate"] += 1
            continue
        found += [run.info.run_id for run in candidates]
        passed_over += since
        since.clear()
        last -= 1
        if not last:
            break
    if not found:
        there = f" ({_counted(since)})" if since else ""
        raise UserError(f"no finished run in this MLflow has a scored candidate{there}; start one with `ferpipe run`")
    return Found(list(dict.fromkeys(found)), passed_over)


def _pipeline_runs(client: mlflow.MlflowClient) -> Iterator[Run]:
    """All pipeline runs of all experiments, newest first, fetched page by page."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    query, newest_first = f"tags.`{names.RUN_KIND}` = 'pipeline'", ["attributes.start_time DESC"]
    for page in pages(client.search_runs, experiments, query, order_by=newest_first, max_results=50):
        yield from page


def shown_candidates(client: mlflow.MlflowClient, parent: Run) -> list[Run]:
    """The candidates of a pipeline run, oldest first; of a search's trials only those that were evaluated."""
    return [
        run
        for run in candidates_of(client, parent)
        if names.SEARCH_RUN not in run.data.tags or state_of(run) == State.EVALUATED
    ]


def parents_of(client: mlflow.MlflowClient, runs: Iterable[Run]) -> dict[str, Run]:
    """The pipeline runs of candidates, by their own ids."""
    parent_ids = {run.data.tags.get(MLFLOW_PARENT_RUN_ID, "") for run in runs} - {""}
    return {run_id: client.get_run(run_id) for run_id in parent_ids}


def own_versions(
    client: mlflow.MlflowClient, runs: Iterable[Run], parents: Mapping[str, Run], model: str = ""
) -> dict[str, Version]:
    """The version of each candidate that has one, by the candidate's run id.

    Args:
        client: of the MLflow that holds them.
        runs: of candidates.
        parents: as `parents_of` returns them.
        model: the registered model whose version is meant where a candidate has versions of several; empty for that of
            its own pipeline run.
    """
    registered = versions.versions_by_run(client)
    found: dict[str, Version] = {}
    for run in runs:
        parent = parents.get(run.data.tags.get(MLFLOW_PARENT_RUN_ID, ""))
        if version := versions.version_of_run(registered, run, model or versions.model_of(parent or run)):
            found[run.info.run_id] = version
    return found


def find_champion(client: mlflow.MlflowClient, run_ids: Sequence[str], model: str = "") -> str:
    """The run of today's champion; empty when there is none, or it has none.

    Where that is not compared but one that was reused from it is, that one.

    Args:
        client: of the MLflow that holds it.
        run_ids: the candidates that are compared.
        model: the registered model; empty for the one that those candidates are versions of, if it is one.
    """
    compared = [client.get_run(run_id) for run_id in run_ids]
    if not model:
        models = {version.model for version in own_versions(client, compared, parents_of(client, compared)).values()}
        model = models.pop() if len(models) == 1 else ""
    number = read_state(client, model).champion if model else None
    version = versions.find_version(client, number, model) if number else None
    if version is None:
        return ""
    taken_over = (run.info.run_id for run in compared if run.data.tags.get(names.REUSED_FROM) == version.run_id)
    return version.run_id if version.run_id in run_ids else next(taken_over, version.run_id)
