"""An ensemble of models that exist, across pipeline runs on the same data: made, evaluated, registered and gated."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import mlflow
from mlflow.entities import Run

from components.ensemble.ensemble import check_same_data, join
from components.ensemble.parameters import Ensemble
from components.evaluate.evaluate import evaluate_candidate
from components.evaluate.parameters import Evaluate
from components.register.log_report import log_report
from components.register.register import register_candidates
from ferkit.data import read_profile
from ferkit.errors import UserError
from ferkit.registry import versions
from ferkit.registry.data import DATA_URI, WHOLE, data_of
from ferkit.registry.settings import Register
from ferkit.registry.verdict import Verdict
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import state_of
from ferkit.tracking.names import State
from ferkit.tracking.owner import Heart, Owner, local_owner, owner_of
from ferkit.tracking.ranking import rank, validation_score
from ferkit.tracking.reuse import origin_of
from pipeline.candidates import find_candidates

LOG = logging.getLogger("ferpipe")


def join_models(
    client: mlflow.MlflowClient,
    named: Sequence[str],
    parameters: Ensemble,
    policy: Register,
    data: Path | None,
    running: Path,
    say: Callable[[str], None],
    model: str = "",
) -> Verdict:
    """Makes an ensemble of models that exist, evaluates and registers it, and asks the gate about it.

    Its run lies under a new parent run, as in a pipeline run. Whatever can be refused is refused before that is opened.

    Args:
        client: as `connect` returns it.
        named: two or more of: ids of candidates, or versions; the id of a pipeline run stands for its evaluated
            candidates.
        parameters: how they are weighted. All models named are joined, however many.
        policy: of the gate.
        data: data set folder; None for the one that the members' versions were registered with.
        running: folder of the runs that are under way on this machine.
        say: takes one line about each thing that was done.
        model: the registered model that versions are of, and the ensemble becomes one of; empty for the only one of
            ours, and for that of the best member's pipeline run.

    Raises:
        UserError: fewer than two models, one that was not evaluated, models of different data, or data that is not
            here; or the ensemble cannot be made or evaluated; or another command took its parent run over.
    """
    members = find_members(client, named, model)
    model = model or versions.model_of(tree.parent_of(client, members[0].info.run_id))
    version = _version_with_data(client, members) if data is None else None
    with _data(version, data) as (folder, data_uri):
        check_same_data(members, read_profile(folder))
        with _parent(client, members[0].info.experiment_id, running) as (parent, owner):
            run_id = join(client, parent, members, folder, parameters.weights, LOG)
            say(f"{client.get_run(run_id).info.run_name}: run {run_id}, of {len(members)} models")
            tree.enter(client, client.get_run(parent.info.run_id), owner)
            if evaluate_candidate(client, run_id, folder, Evaluate(), LOG) is None:
                raise UserError(client.get_run(run_id).data.tags[names.FAILURE])
            parent_id = parent.info.run_id
            tree.enter(client, client.get_run(parent_id), owner)
            client.log_param(parent_id, names.MODEL_PARAMETER, model)
            verdict = register_candidates(client, [run_id], folder, policy, parent_id, data_uri, [run_id], model)
            log_report(client, [run_id], folder, verdict, parent_id)
            client.set_tag(parent_id, names.COMPLETED, "true")
    return verdict


def find_members(client: mlflow.MlflowClient, named: Sequence[str], model: str = "") -> list[Run]:
    """The candidates to join, the best on validation first.

    Raises:
        UserError: fewer than two, or one that was not evaluated.
    """
    found: dict[str, Run] = {}
    for name in named:
        runs = [client.get_run(run_id) for run_id in find_candidates(client, [name], model)]
        if len(runs) > 1:  # a pipeline run, whose ensemble is made of the others
            runs = [run for run in runs if _is_scored(run) and run.data.tags[names.ARCHITECTURE] != names.ENSEMBLE]
        for run in runs:
            if not _is_scored(run):
                raise UserError(f"{name}: {run.info.run_name} was not evaluated; use models that were")
            found[run.info.run_id] = run
    if len(found) < 2:
        raise UserError(f"an ensemble joins two models or more (received {len(found)}); pass more runs or versions")
    return sorted(found.values(), key=rank, reverse=True)


def _is_scored(run: Run) -> bool:
    """A run of version 0.1 has no state; its metrics say so."""
    return state_of(run) in ("", State.EVALUATED) and validation_score(run) is not None


def _version_with_data(client: mlflow.MlflowClient, members: Sequence[Run]) -> versions.Version:
    models = versions.our_models(client)
    found = (one for run in members for model in models for one in versions.versions(client, origin_of(run), model))
    version = next(found, None)
    if version is None:
        raise UserError("none of these models is registered, so nothing says where their data is; pass it with --data")
    return version


@contextmanager
def _data(version: versions.Version | None, folder: Path | None) -> Iterator[tuple[Path, str]]:
    """The data set folder, and its address for others."""
    if version is None:
        assert folder is not None
        yield folder, str(folder.absolute())
    else:
        with data_of(version, None, WHOLE) as folder:
            yield folder, version.tags.get(DATA_URI, str(folder))


@contextmanager
def _parent(client: mlflow.MlflowClient, experiment_id: str, running: Path) -> Iterator[tuple[Run, Owner]]:
    """A parent run of this command's own, which beats for it, and its owner; ended however the block ends.

    Unless another command has taken the run over, whose it is then.
    """
    with local_owner(running) as owner:
        name = f"ensemble {datetime.now(UTC):%Y-%m-%d %H:%M}"
        parent = tree.open_parent(client, experiment_id, owner, {}, name)
        heart = Heart(client, parent.info.run_id, owner, lambda: None)
        try:
            yield parent, owner
        except BaseException as error:
            run, status = client.get_run(parent.info.run_id), "FAILED" if isinstance(error, Exception) else "KILLED"
            if owner_of(run) == owner:
                tree.close_tree(client, run, status, str(error) or "interrupted")
            raise
        finally:
            heart.close()
        tree.close_tree(client, client.get_run(parent.info.run_id), "FINISHED")
