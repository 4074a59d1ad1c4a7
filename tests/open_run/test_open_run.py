"""Opening a pipeline run: the parent in MLflow, and the loop's items."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import psutil
import pytest

from components.bad_input import BadInput
from components.open_run import open_run as module
from components.open_run.code_version import code_version
from components.open_run.open_run import (
    LOCAL_PROCESS,
    LOCAL_PROCESS_VARIABLE,
    PipelineRun,
    candidate_items,
    open_run,
    process_mark,
)
from ferkit.tracking import names, tree
from ferkit.tracking.store import connect
from pipeline.parameters import Parameters


@pytest.fixture(scope="module")
def client(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> mlflow.MlflowClient:
    return connect(new_store(tmp_path_factory.mktemp("store")))


def pipeline_run(pipeline_run_id: str, parent_run_id: str = "", code: str = "", **parameters) -> PipelineRun:
    return PipelineRun(
        pipeline_run_id=pipeline_run_id,
        parameters=Parameters.parse(parameters).dump(),
        source_version="sha256:00",
        code_version=code or code_version(),
        git_commit="c0ffee",
        parent_run_id=parent_run_id,
    )


def test_the_items_name_the_parent_and_are_complete(client):
    items = open_run(client, pipeline_run("whole"))
    parent = client.get_run(items[0]["parent_run_id"])
    assert [item["architecture"] for item in items] == ["lenet", "multi_kernel"]
    assert {item["experiment_id"] for item in items} == {parent.info.experiment_id}
    assert len({item["candidate_id"] for item in items}) == 2
    assert parent.info.status == "RUNNING"
    assert parent.data.tags[names.PIPELINE_RUN_ID] == "whole"
    assert parent.data.tags[names.GIT_COMMIT] == "c0ffee"
    assert parent.data.params["csv"] == "sample"
    assert parent.data.params["ingest.duplicates"] == "drop_from_train"
    json.dumps(items)  # what kfp passes on


def test_a_retried_open_run_finds_the_run_it_opened(client):
    first = open_run(client, pipeline_run("retried"))
    assert open_run(client, pipeline_run("retried")) == first


def test_the_run_of_the_backends_plugin_is_adopted(client):
    experiment = client.create_experiment("plugin's own")
    opened = client.create_run(experiment, tags={names.PIPELINE_RUN_ID: "plugin"})
    [first, *_] = open_run(client, pipeline_run("plugin"))
    assert first["parent_run_id"] == opened.info.run_id
    assert first["experiment_id"] == experiment


def test_an_ended_run_with_the_same_id_is_anothers(client):
    [first, *_] = open_run(client, pipeline_run("again"))
    tree.close(client, first["parent_run_id"])
    [second, *_] = open_run(client, pipeline_run("again"))
    assert second["parent_run_id"] != first["parent_run_id"]


def test_a_resumed_run_is_open_again_without_its_failure(client):
    [first, *_] = open_run(client, pipeline_run("before"))
    tree.close(client, first["parent_run_id"], "FAILED", "the machine went down")
    [again, *_] = open_run(client, pipeline_run("after", parent_run_id=first["parent_run_id"]))
    parent = client.get_run(first["parent_run_id"])
    assert again["parent_run_id"] == first["parent_run_id"]
    assert again["candidate_id"] == first["candidate_id"]
    assert parent.info.status == "RUNNING"
    assert names.FAILURE not in parent.data.tags
    assert parent.data.tags[names.PIPELINE_RUN_ID] == "after"


@pytest.mark.parametrize(("changed", "what"), [("code_version", "code"), ("source_version", "data")])
def test_a_run_is_not_resumed_with_other_code_or_data(client, monkeypatch, changed, what):
    [item, *_] = open_run(client, pipeline_run(f"with-other-{what}"))
    tree.close(client, item["parent_run_id"], "KILLED")
    again = replace(pipeline_run("later", parent_run_id=item["parent_run_id"]), **{changed: "0123456789abcdef"})
    monkeypatch.setattr(module, "code_here", lambda: again.code_version)
    with pytest.raises(BadInput, match=rf"began with other {what} \(.*; now 0123456789abcdef\), .*start a new run"):
        open_run(client, again)
    assert client.get_run(item["parent_run_id"]).info.status == "KILLED"


def test_candidates_that_differ_in_settings_differ_in_name():
    candidates = [
        {"architecture": "lenet", "width": 0.5},
        {"architecture": "lenet", "width": 0.5, "augment": False, "epochs": 3.0, "schedule": "constant"},
        {"architecture": "lenet", "width": 0.5, "seed": 1},
        {"architecture": "multi_kernel", "dropout": 0.1},
    ]
    assert [item["name"] for item in candidate_items(candidates, {}, ())] == [
        "lenet-tuned-s0",
        "lenet-tuned-s0 augment=false epochs=3 schedule=constant",
        "lenet-tuned-s1",
        "multi_kernel-tuned-s0",
    ]


def test_a_parent_that_is_not_there_is_one_sentence(client):
    with pytest.raises(BadInput, match="parent run nobody: not in this MLflow"):
        open_run(client, pipeline_run("nobody", parent_run_id="nobody"))


def test_other_code_than_the_pipeline_was_made_from_is_refused(client):
    with pytest.raises(BadInput, match="the pipeline was made from code 0123456789abcdef"):
        open_run(client, pipeline_run("code", code="0123456789abcdef"))
    assert tree.find_parent(client, "code") is None


def test_a_password_in_the_csvs_address_is_not_logged(client):
    [item, *_] = open_run(client, pipeline_run("secret", csv="https://ann:hunter2@host/fer.csv?sig=hunter3"))
    parent = client.get_run(item["parent_run_id"])
    shown = json.dumps({**parent.data.params, **parent.data.tags})
    artifact = Path(client.download_artifacts(parent.info.run_id, "parameters.yaml")).read_text()
    assert "hunter" not in shown + artifact
    assert parent.data.params["csv"] == "https://host/fer.csv"


def test_a_run_whose_process_is_gone_is_ended_by_the_next(client, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = process_mark(psutil.Process(process.pid))
    monkeypatch.setenv(LOCAL_PROCESS_VARIABLE, mark)
    [orphan, *_] = open_run(client, pipeline_run("orphan"))
    child = tree.open_candidate(client, orphan)
    monkeypatch.setenv(LOCAL_PROCESS_VARIABLE, process_mark(psutil.Process()))

    open_run(client, pipeline_run("while it lives"))
    assert client.get_run(orphan["parent_run_id"]).info.status == "RUNNING"

    process.kill()
    process.wait()
    open_run(client, pipeline_run("after it died"))
    assert client.get_run(orphan["parent_run_id"]).info.status == "KILLED"
    assert client.get_run(child.info.run_id).info.status == "KILLED"
    assert client.get_run(orphan["parent_run_id"]).data.tags[LOCAL_PROCESS] == mark


def test_another_hosts_process_is_not_judged():
    assert not module._is_gone("another-host 1 0.00")
    assert module._is_gone(f"{socket.gethostname()} {2**22 + 1} 0.00")


def test_equal_candidates_are_refused():
    with pytest.raises(BadInput, match=r"candidates\[1\] is equal to \[0\]"):
        candidate_items([{"architecture": "lenet"}, {"architecture": "lenet", "seed": 0}], {}, ())


@pytest.mark.parametrize(("one", "other"), [((), ("data",)), (("data", "code 1"), ("data", "code 2"))])
def test_other_data_or_code_is_another_candidate(one, other):
    [first], [second] = (candidate_items([{"architecture": "lenet"}], {}, identity) for identity in (one, other))
    assert first["candidate_id"] != second["candidate_id"]


def test_the_version_of_the_code_changes_with_a_line_of_it(tmp_path: Path):
    root = Path(module.__file__).parent.parent
    copy = tmp_path / "components"
    for path in root.rglob("*.py"):
        target = copy / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    def version_there() -> str:
        command = "from components.open_run.code_version import code_version; print(code_version())"
        return subprocess.check_output([sys.executable, "-c", command], cwd=tmp_path, text=True).strip()

    assert version_there() == code_version()
    with (copy / "balance" / "techniques.py").open("a") as file:
        file.write("\n# another line\n")
    assert version_there() != code_version()
