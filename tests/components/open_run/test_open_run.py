"""Opening a pipeline run: the parent in MLflow, and the loop's items."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from filelock import FileLock

from components.open_run import open_run as module
from components.open_run import origin_tags
from components.open_run.open_run import PipelineRun, open_run
from components.open_run.resolve import resolve_candidates
from ferkit.errors import UserError
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import settings_of, state_of
from ferkit.tracking.labels import Labels
from ferkit.tracking.names import State
from ferkit.tracking.owner import Owner, local_owner
from ferkit.tracking.store import connect
from pipeline.parameters import Parameters

LOG = logging.getLogger("test")


@pytest.fixture(scope="module")
def client(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    return connect(new_store(tmp_path_factory.mktemp("store")))


def pipeline_run(
    pipeline_run_id: str, parent_run_id: str = "", owner: Owner | None = None, **parameters
) -> PipelineRun:
    return PipelineRun(
        pipeline_run_id=pipeline_run_id,
        owner=owner or Owner(pipeline_run_id),
        parameters=Parameters.parse(parameters).dump(),
        source_version="sha256:00",
        git_commit="c0ffee",
        parent_run_id=parent_run_id,
    )


def opened(client: mlflow.MlflowClient, asked: PipelineRun):
    """The parent and the candidates' run ids."""
    run_ids = open_run(client, asked, LOG)
    return tree.parent_of(client, run_ids[0]), run_ids


def test_parent_and_candidates_are_there_and_complete(client):
    parent, run_ids = opened(client, pipeline_run("whole"))
    children = [client.get_run(run_id) for run_id in run_ids]
    assert [child.data.tags[names.ARCHITECTURE] for child in children] == ["lenet", "multi_kernel"]
    assert {child.info.experiment_id for child in children} == {parent.info.experiment_id}
    assert len({child.data.tags[names.CANDIDATE_ID] for child in children}) == 2
    assert [(child.info.status, state_of(child)) for child in children] == [("SCHEDULED", State.WAITING)] * 2
    assert settings_of(children[0])["architecture"] == "lenet"
    assert parent.info.status == "RUNNING"
    assert parent.data.tags[names.PIPELINE_RUN_ID] == "whole"
    assert parent.data.tags[names.GIT_COMMIT] == "c0ffee"
    assert parent.data.params["csv"] == "sample"
    assert parent.data.params["ingest.duplicates"] == "drop_from_train"
    json.dumps(run_ids)  # what kfp passes on


def test_a_retried_open_run_finds_the_runs_it_opened(client):
    first = opened(client, pipeline_run("retried"))
    again = opened(client, pipeline_run("retried"))
    assert (again[0].info.run_id, again[1]) == (first[0].info.run_id, first[1])


def test_a_lost_reply_to_the_parents_making_leaves_no_second_one(client, monkeypatch):
    """MLflow's client asks again when a reply is lost; the first run is there already."""
    create = mlflow.MlflowClient.create_run

    def twice(self, experiment_id, *arguments, tags=None, **options):
        if tags and "mlflow.parentRunId" not in tags:
            create(self, experiment_id, *arguments, tags=tags, **options)
        return create(self, experiment_id, *arguments, tags=tags, **options)

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", twice)
    parent, _ = opened(client, pipeline_run("lost reply"))
    found = tree.find_parents(client, parent.info.experiment_id, Owner("lost reply"))
    assert [run.info.run_id for run in found] == [parent.info.run_id]


def test_the_run_of_the_backends_plugin_is_adopted(client, monkeypatch):
    experiment = client.create_experiment("plugin's own")
    made = client.create_run(experiment, tags={names.PIPELINE_RUN_ID: "plugin"})
    monkeypatch.setattr(module, "plugins_experiment_id", lambda: experiment)
    parent, _ = opened(client, pipeline_run("plugin"))
    assert parent.info.run_id == made.info.run_id
    assert parent.info.experiment_id == experiment


def test_local_runs_are_told_apart_though_kfp_assigns_two_the_same_id(client, tmp_path):
    with local_owner(tmp_path) as one, local_owner(tmp_path) as other:
        first, _ = opened(client, pipeline_run("12345678", owner=one))
        second, _ = opened(client, pipeline_run("12345678", owner=other))
    assert first.info.run_id != second.info.run_id


def test_a_resumed_run_is_open_again_without_its_failure(client):
    first, run_ids = opened(client, pipeline_run("before"))
    tree.close_tree(client, first, "FAILED", "the machine went down")
    again, run_ids_again = opened(client, pipeline_run("after", parent_run_id=first.info.run_id))
    assert (again.info.run_id, run_ids_again) == (first.info.run_id, run_ids)
    assert again.info.status == "RUNNING"
    assert names.FAILURE not in again.data.tags
    assert again.data.tags[names.PIPELINE_RUN_ID] == "after"


@pytest.mark.parametrize(("changed", "what"), [("code", "code"), ("source_version", "data")])
def test_a_run_is_not_resumed_with_other_code_of_the_weights_or_other_data(client, monkeypatch, changed, what):
    parent, _ = opened(client, pipeline_run(f"with-other-{what}"))
    tree.close_tree(client, parent, "KILLED")
    later = pipeline_run("later", parent_run_id=parent.info.run_id)
    if changed == "code":
        monkeypatch.setattr(origin_tags, "weights_version", lambda: "0123456789abcdef")
    else:
        later = replace(later, source_version="0123456789abcdef")
    with pytest.raises(UserError, match=rf"began with other {what} \(.*; now 0123456789abcdef\), .*start a new run"):
        open_run(client, later, LOG)
    assert client.get_run(parent.info.run_id).info.status == "KILLED"


def test_other_code_of_plots_or_report_makes_no_run_unresumable(client, monkeypatch):
    parent, run_ids = opened(client, pipeline_run("before the typo was mended"))
    tree.close_tree(client, parent, "FAILED", "evaluate: a typo")
    monkeypatch.setattr(origin_tags, "code_version", lambda: "0123456789abcdef")
    assert open_run(client, pipeline_run("after", parent_run_id=parent.info.run_id), LOG) == run_ids


def test_a_run_that_version_0_1_began_is_told_so(client):
    experiment = tree.experiment_id(client, names.EXPERIMENT)
    tags = {names.RUN_KIND: "pipeline", names.CODE_VERSION: "0" * 16, names.DATA_VERSION: "sha256:00"}
    old = client.create_run(experiment, tags=tags).info.run_id
    client.set_terminated(old, status="KILLED")
    with pytest.raises(UserError, match=r"began with version 0\.1"):
        open_run(client, pipeline_run("new", parent_run_id=old), LOG)


def test_a_run_that_lives_is_not_resumed_and_is_named(client, tmp_path):
    with local_owner(tmp_path / "one") as one, local_owner(tmp_path / "other") as other:
        parent, _ = opened(client, pipeline_run("alive", owner=one))
        with pytest.raises(UserError, match=rf"{parent.info.run_id} \(.* sample\) is still running"):
            open_run(client, pipeline_run("alive", parent_run_id=parent.info.run_id, owner=other), LOG)
    with local_owner(tmp_path / "other") as other:  # now that the first has ended, it goes on
        tree.close_tree(client, parent, "KILLED")
        again, _ = opened(client, pipeline_run("alive", parent_run_id=parent.info.run_id, owner=other))
    assert again.info.run_id == parent.info.run_id


def test_a_kubeflow_run_that_was_not_ended_is_not_resumed(client):
    parent, _ = opened(client, pipeline_run("on-kubeflow"))
    with pytest.raises(UserError, match="belongs to pipeline run on-kubeflow, which has not ended it"):
        open_run(client, pipeline_run("another", parent_run_id=parent.info.run_id), LOG)


def test_a_run_goes_on_where_it_ran(client, tmp_path):
    parent, _ = opened(client, pipeline_run("there"))
    tree.close_tree(client, parent, "FAILED")
    with local_owner(tmp_path) as here, pytest.raises(UserError, match=r"ran on Kubeflow: .*`ferpipe submit --resume"):
        open_run(client, pipeline_run("here", parent_run_id=parent.info.run_id, owner=here), LOG)


def test_candidates_that_differ_in_settings_differ_in_name():
    candidates = [
        {"architecture": "lenet", "width": 0.5},
        {"architecture": "lenet", "width": 0.5, "random_affine": False, "epochs": 3.0, "schedule": "constant"},
        {"architecture": "lenet", "width": 0.5, "seed": 1},
        {"architecture": "multi_kernel", "dropout": 0.1},
    ]
    assert [candidate.name for candidate in resolve_candidates(candidates, {}, ())] == [
        "lenet-tuned-s0",
        "lenet-tuned-s0 random_affine=false epochs=3 schedule=constant",
        "lenet-tuned-s1",
        "multi_kernel-tuned-s0",
    ]


def test_a_candidates_name_is_cut_where_postgresql_would_refuse_it():
    wide = {"architecture": "lenet", "filters": [32] * 60}
    name = resolve_candidates([{"architecture": "lenet"}, wide], {}, ())[1].name
    assert re.fullmatch(r"lenet-tuned-s0 filters=\[32, .*\.\.\.", name)
    assert len(name) == 250


def test_a_parent_that_is_not_there_is_one_sentence(client):
    with pytest.raises(UserError, match="parent run nobody: not in this MLflow"):
        open_run(client, pipeline_run("nobody", parent_run_id="nobody"), LOG)


def test_a_password_in_the_csvs_address_is_not_logged(client):
    parent, _ = opened(client, pipeline_run("secret", csv="https://ann:hunter2@host/fer.csv?sig=hunter3"))
    shown = json.dumps({**parent.data.params, **parent.data.tags})
    artifact = Path(client.download_artifacts(parent.info.run_id, "parameters.yaml")).read_text()
    assert "hunter" not in shown + artifact
    assert parent.data.params["csv"] == "https://host/fer.csv"


def test_a_run_whose_command_is_gone_is_ended_by_the_next(client, tmp_path):
    owner = Owner("0123", str(tmp_path / "0123" / "lock"))
    (tmp_path / "0123").mkdir()
    lock = FileLock(owner.lock)
    lock.acquire()
    orphan, run_ids = opened(client, pipeline_run("orphan", owner=owner))
    opened(client, pipeline_run("while it lives"))
    assert client.get_run(orphan.info.run_id).info.status == "RUNNING"
    lock.release()
    opened(client, pipeline_run("after it died"))
    assert client.get_run(orphan.info.run_id).info.status == "KILLED"
    assert {client.get_run(run_id).info.status for run_id in run_ids} == {"KILLED"}
    assert not (tmp_path / "0123").exists()


def test_another_machines_run_is_not_judged(client):
    elsewhere = Owner("elsewhere", "/no/such/machine/lock")
    parent, _ = opened(client, pipeline_run("elsewhere", owner=elsewhere))
    opened(client, pipeline_run("the next one"))
    assert client.get_run(parent.info.run_id).info.status == "RUNNING"


def test_equal_candidates_are_refused():
    with pytest.raises(UserError, match=r"candidates\[1\] is equal to \[0\]"):
        resolve_candidates([{"architecture": "lenet"}, {"architecture": "lenet", "seed": 0}], {}, ())


def test_a_list_where_one_architecture_belongs_is_one_sentence():
    with pytest.raises(UserError, match=r"architecture: there is no \['lenet', 'multi_kernel'\]"):
        resolve_candidates([{"architecture": ["lenet", "multi_kernel"]}], {}, ())


@pytest.mark.parametrize(("one", "other"), [((), ("data",)), (("data", "code 1"), ("data", "code 2"))])
def test_other_data_or_code_is_another_candidate(one, other):
    [first], [second] = (resolve_candidates([{"architecture": "lenet"}], {}, identity) for identity in (one, other))
    assert first.candidate_id != second.candidate_id


def test_equal_settings_are_equal_texts_whatever_the_order_of_their_keys(client):
    mix = {"flip": 2.0, "blur": 1.0}
    candidate = {"architecture": "lenet", "seed": 3}
    one, _ = opened(client, pipeline_run("one", candidates=[candidate], balance={"mix": mix}))
    other, _ = opened(
        client,
        pipeline_run(
            "other",
            candidates=[dict(reversed(candidate.items()))],
            balance={"mix": dict(reversed(mix.items()))},
        ),
    )
    assert one.data.params == other.data.params
    assert json.loads(one.data.params["balance.mix"])["flip"] == 2.0


@pytest.mark.parametrize(
    ("given", "csv", "expected"),
    [("", "sample", "facial-expression-sample"), ("", "faces.csv", "facial-expression"), ("lab", "sample", "lab")],
)
def test_the_parent_says_of_which_registered_model_its_candidates_become_versions(client, given, csv, expected):
    parent, _ = opened(client, pipeline_run(f"model {given} {csv}", registered_model=given, csv=csv))
    assert parent.data.params["registered_model"] == expected


def test_the_recipe_of_kubeflows_form_goes_before_the_one_in_train(client):
    asked = pipeline_run("recipe")
    asked = replace(asked, parameters={**asked.parameters, "recipe": "notebook"})
    parent, run_ids = opened(client, asked)
    assert parent.data.params["train.recipe"] == "notebook"
    assert {settings_of(client.get_run(run_id))["recipe"] for run_id in run_ids} == {"notebook"}


def test_a_run_that_mlflow_named_gets_a_name_of_ours_and_a_persons_stays(client):
    experiment = tree.experiment_id(client, names.EXPERIMENT)
    drawn = client.create_run(experiment)  # as `mlflow run` opens one
    named = client.create_run(experiment, run_name="for the paper")
    for run, wanted in ((drawn, r"\d{4}-\d\d-\d\d \d\d:\d\d \S+"), (named, "for the paper")):
        assert not re.fullmatch(r"\d.*", str(run.info.run_name))
        open_run(client, pipeline_run(str(run.info.run_name), parent_run_id=run.info.run_id), LOG)
        assert re.fullmatch(wanted, str(client.get_run(run.info.run_id).info.run_name))


def test_what_a_person_says_of_a_run_is_on_it_and_changes_no_candidate(client):
    plain, unlabelled = opened(client, pipeline_run("unlabelled"))
    labels = Labels("first try", "With **mixup**.", {"ticket": "FER-12"})
    parent, run_ids = opened(client, replace(pipeline_run("labelled"), labels=labels))
    assert (parent.info.run_name, parent.data.tags["mlflow.note.content"]) == ("first try", "With **mixup**.")
    candidates = [client.get_run(run_id) for run_id in run_ids]
    assert {run.data.tags["ticket"] for run in [parent, *candidates]} == {"FER-12"}
    assert {run.data.tags[names.PARENT_NAME] for run in candidates} == {"first try"}
    ids = [client.get_run(run_id).data.tags[names.CANDIDATE_ID] for run_id in unlabelled]
    assert [run.data.tags[names.CANDIDATE_ID] for run in candidates] == ids
    assert parent.data.params == plain.data.params
