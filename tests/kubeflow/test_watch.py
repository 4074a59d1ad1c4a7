"""What `submit --wait` makes of the 65 to 140 nodes that a real backend answers with, and of those that it lacks."""

from __future__ import annotations

from typing import cast

import kfp_server_api
import pytest
from argo_nodes import Nodes, Steps
from compiled_pipeline import Submit
from kubeflow_api import KubeflowApi, Played

from pipeline.argo import Attempt, Task, attempts, why_failed
from pipeline.orphans import Candidates
from pipeline.watch import Progress

FIRST, SECOND = "1" * 32, "2" * 32
BEFORE = {
    "locate": "Succeeded",
    "open-run": "Succeeded",
    "ingest": "Cached",
    "balance": "Cached",
    "profile": "Succeeded",
}
LOST = "Error: pod deleted"
REFUSED = "Failed: main: Error (exit code 1): train: no room on the disk"


class Known:
    """What MLflow says of two candidates, the second of which failed for a reason of its own."""

    def name(self, run_id: str) -> str:
        return {FIRST: "lenet-seed-1", SECOND: "multi_kernel"}.get(run_id, "")

    def failure(self, run_id: str) -> str:
        return {SECOND: "diverged at epoch 2"}.get(run_id, "")


def lines_of(looks: list[Steps], retried: bool = True, run_ids: tuple[str, ...] = (FIRST, SECOND)) -> list[str]:
    lines: list[str] = []
    progress = Progress(lines.append, cast(Candidates, Known()))
    for steps in looks:
        progress.read(attempts(Nodes(retried, run_ids).of(steps)))
    return lines


both_set_ups = pytest.mark.parametrize("retried", [True, False], ids=["Kubeflow's Argo settings", "Argo's own"])


@both_set_ups
def test_a_run_is_a_line_per_step_and_candidate(retried: bool) -> None:
    lines = lines_of(
        [
            {"locate": "Running"},
            BEFORE | {"train[0]": "Running", "train[1]": "Running"},
            BEFORE | {"train[0]": "Succeeded", "evaluate[0]": "Running", "train[1]": LOST},
            BEFORE | {"train[0]": "Succeeded", "evaluate[0]": "Succeeded", "train[1]": [LOST, "Running"]},
            BEFORE | {"train[0]": "Succeeded", "evaluate[0]": "Succeeded", "train[1]": [LOST, "Succeeded"]},
        ],
        retried,
    )
    assert lines == [
        "locate: running",
        "locate: succeeded",
        "open_run: succeeded",
        "ingest: cached",
        "balance: cached",
        "profile: succeeded",
        "train lenet-seed-1: running",
        "train multi_kernel: running",
        "train lenet-seed-1: succeeded",
        "evaluate lenet-seed-1: running",
        "train multi_kernel: failed: pod deleted",
        "evaluate lenet-seed-1: succeeded",
        "train multi_kernel: attempt 2",
        "train multi_kernel: left out, for it failed: diverged at epoch 2",
    ]


def test_the_nodes_of_a_whole_run_are_as_many_as_were_seen() -> None:
    """The real backend's answers had 65 to 140, by how Argo is set up and how far a run comes."""
    before = dict.fromkeys(("locate", "open-run", "ingest", "balance", "profile"), "Succeeded")
    loop = {f"{step}[{item}]": "Succeeded" for item in (0, 1) for step in ("train", "evaluate")}
    steps = before | loop | {"register": "Succeeded", "close-run": "Succeeded"}
    assert 65 <= len(Nodes(retried=False).of(steps)) < len(Nodes().of(steps)) <= 140


def test_a_step_that_stands_twice_goes_by_its_run() -> None:
    assert lines_of([{"evaluate-2": "Running"}]) == ["evaluate: running"]


def test_a_candidate_that_mlflow_does_not_name_has_its_number() -> None:
    assert lines_of([{"train[0]": "Running", "train[1]": "Running"}], run_ids=("3" * 32,)) == [
        "train 1: running",
        "train 2: running",
    ]


def test_a_pod_that_finds_no_node_says_why() -> None:
    reason = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    looks = ["Pending", "Pending: ContainerCreating", f"Pending: {reason}", f"Pending: {reason}", "Running"]
    assert lines_of([{"train[0]": look} for look in looks]) == [
        f"train lenet-seed-1: waits: {reason}",
        "train lenet-seed-1: running",
    ]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("main: Error (exit code 1): train: no room on the disk", "no room on the disk"),
        ("Error (exit code 1): no room on the disk", "no room on the disk"),
        ("main: Error (exit code 1): line one\nline two", "line one\nline two"),
        ("main: Error (exit code 1)", "ended with exit code 1 without a word; its log says more"),
        ("main: OOMKilled (exit code 137)", "killed for memory (OOMKilled); raise cluster.steps.train.memory_limit"),
        ("OOMKilled (exit code 1): …", "killed for memory (OOMKilled); raise cluster.steps.train.memory_limit"),
        ("main: Error (exit code 137)", "killed (exit code 137), from outside or for memory, without a word"),
        ("pod deleted", "pod deleted"),
        ("", "no message says why"),
    ],
)
def test_a_pods_message_becomes_a_sentence(message: str, sentence: str) -> None:
    assert why_failed(Attempt(Task("train"), "key", 1, "failed", message)) == sentence


def test_only_what_failed_for_good_is_the_runs_failure(api: KubeflowApi, submit: Submit) -> None:
    steps = {"ingest": [LOST, "Succeeded"], "train[0]": [LOST, REFUSED], "train[1]": "Succeeded"}
    api.play = [Played("RUNNING", steps), Played("FAILED", steps)]
    result = submit("--wait")
    assert result.stderr.splitlines()[-1] == "failed: train 1: no room on the disk"


def test_a_driver_that_failed_is_said_to_be_one(api: KubeflowApi, submit: Submit) -> None:
    mismatch = 'main: Error (exit code 1): input parameter "run_id" type mismatch: expect STRUCT, got string'
    api.play = [Played("FAILED", {"locate": "Succeeded", "train-driver[1]": f"Failed: {mismatch}"})]
    result = submit("--wait")
    assert result.stderr.splitlines()[-1].startswith("failed: train 2: its driver failed: ")
    assert "type mismatch" in result.stderr


def test_nodes_that_argo_compressed_are_read(api: KubeflowApi, submit: Submit) -> None:
    api.packed = True
    api.play = [Played("FAILED", {"ingest": "Failed: main: Error (exit code 1): ingest: f.csv is empty"})]
    assert submit("--wait").stderr.splitlines()[-1] == "failed: ingest: f.csv is empty"


def test_without_the_older_api_steps_go_by_their_names(api: KubeflowApi, submit: Submit) -> None:
    api.broken[("GET", "/apis/v1beta1/")] = (404, "not served here")
    api.play = [
        Played("PENDING"),
        Played("RUNNING", {"locate": "Succeeded", "train[0]": "Running", "train[1]": "Running"}),
        Played("FAILED", {"locate": "Succeeded", "train[0]": "Running", "train[1]": REFUSED}),
    ]
    result = submit("--wait")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()[2:]
    assert lines[:3] == ["locate: succeeded", "train: running", "train: running"]
    assert lines[3:] == ["train: failed: no message says why"]
    assert result.stderr.splitlines()[-1] == "failed: train: no message says why"
    assert len([asked for asked in api.asked if "v1beta1" in asked]) == 1


def test_the_manifest_is_asked_for_only_when_something_is_new(api: KubeflowApi, submit: Submit) -> None:
    still = Played("RUNNING", {"train[0]": "Running"})
    api.play = [still, still, still, still, Played("SUCCEEDED", {"train[0]": "Succeeded"})]
    assert submit("--wait").exit_code == 0
    assert len([asked for asked in api.asked if "v1beta1" in asked]) == 2


def test_an_api_server_whose_database_is_away_is_waited_for(
    api: KubeflowApi, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.play = [Played("RUNNING", {"train[0]": "Running"}), Played("FAILED", {"train[0]": REFUSED})]
    refusals = 3
    answer = api.answer

    def sometimes(method: str, path: str, query: dict[str, str], body: bytes, content_type: str) -> object:
        nonlocal refusals
        if "/runs/" in path and refusals:
            refusals -= 1
            raise RuntimeError("connection to the database refused")
        return answer(method, path, query, body, content_type)

    monkeypatch.setattr(api, "answer", sometimes)
    assert submit("--wait").stderr.splitlines()[-1] == "failed: train 1: no room on the disk"
    assert refusals == 0


def test_what_the_clients_own_models_would_hide(api: KubeflowApi, submit: Submit) -> None:
    """A stand-in made of kfp_server_api's models has errors on tasks, a state on each, and CANCELED for a run.

    The real answer has none of these, so its JSON is looked at as it goes over the wire.
    """
    api.play = [Played("FAILED", BEFORE | {"train-driver[0]": "Failed: lost"}, meanwhile=("RUNNING", "CANCELING"))]
    submit()
    [run] = api.runs
    answer = api.answer("GET", f"/apis/v2beta1/runs/{run.run_id}", {}, b"", "")
    details = answer["run_details"]["task_details"]
    assert answer["state"] == "FAILED"
    assert "error" not in answer
    assert {key for task in details for key in task} & {"error", "inputs", "outputs", "parent_task_id"} == set()
    assert [task for task in details if "state" not in task]
    names = {task["display_name"] for task in details}
    assert {"root", "root(0)", "exit-handler-1", "iteration-item", "train-driver(0)", "executor"} <= names
    assert set(details[0]) <= set(kfp_server_api.V2beta1PipelineTaskDetail.attribute_map.values())


def test_names_come_from_mlflow_where_it_answers(
    api: KubeflowApi, submit: Submit, mlflow_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ferkit.tracking import names
    from ferkit.tracking.store import connect

    client = connect(mlflow_address)
    experiment = client.create_experiment("names")
    run_ids = [client.create_run(experiment, run_name=name).info.run_id for name in ("lenet", "multi_kernel")]
    client.set_tag(run_ids[1], names.STATE, names.State.FAILED)
    client.set_tag(run_ids[1], names.FAILURE, "diverged")
    api.nodes = Nodes(run_ids=run_ids)
    api.play = [Played("SUCCEEDED", {"train[0]": "Succeeded", "train[1]": "Succeeded"})]
    result = submit("--wait", tracking_uri=mlflow_address)
    assert result.stdout.splitlines()[2:4] == [
        "train lenet: succeeded",
        "train multi_kernel: left out, for it failed: diverged",
    ]
