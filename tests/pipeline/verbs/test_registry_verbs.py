"""promote, rollback, history and compare as a person types them."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner, Result

from ferkit.data import EMOTIONS
from ferkit.errors import UserError
from ferkit.registry import versions
from ferkit.registry.model_addresses import address_of, notes_at
from ferkit.tracking import names, tree
from ferkit.tracking.candidates import NewCandidate, open_candidates
from ferkit.tracking.names import metric
from ferkit.tracking.store import connect
from pipeline.candidates import named_version
from pipeline.cli import cli
from pipeline.summary import summary

ANSWERS = {"lenet": 0.9, "multi": 0.5}
"""Share of the 700 test rows that a candidate calls right; its mistakes are spread over the classes."""


@pytest.fixture(scope="module")
def finished(new_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one pipeline run of two candidates, both registered and approved."""
    folder = tmp_path_factory.mktemp("store")
    client = connect(new_store(folder))
    experiment_id = tree.experiment_id(client, names.EXPERIMENT)
    parent_run = client.create_run(experiment_id, tags={names.RUN_KIND: "pipeline"})
    parent = parent_run.info.run_id
    run_ids = open_candidates(client, parent_run, [NewCandidate(name, name, name, {}) for name in ANSWERS])
    versions.ensure_registered_model(client)
    for number, (run_id, right) in enumerate(zip(run_ids, ANSWERS.values(), strict=True)):
        figures = {metric("test", name): right for name in ("accuracy", "macro_f1")}
        figures |= {metric("validation", "macro_f1"): right, "images_per_second": 900}
        figures |= {metric("test", "recall", emotion): right + label / 100 for label, emotion in enumerate(EMOTIONS)}
        for figure, value in figures.items():
            client.log_metric(run_id, figure, value)
        client.log_text(run_id, predictions(right), "evaluation/test/predictions.csv")
        tree.close(client, run_id)
        compared_with = "none" if number == 0 else "1"
        tags = {names.VALIDATION_STATUS: "approved", names.COMPARED_WITH: compared_with}
        client.create_model_version(names.REGISTERED_MODEL, "s3://nowhere", run_id, tags=tags)
    tree.close(client, parent)
    return folder / "mlflow.db"


def predictions(right: float) -> str:
    lines = ["row,in_train,truth,prediction"]
    for row in range(700):
        label = row % 7
        answer = label if (row // 7) % 10 < 10 * right else (label + 1) % 7
        lines.append(f"{row},False,{EMOTIONS[label]},{EMOTIONS[answer]}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def uri(finished: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(finished, tmp_path / 'mlflow.db')}"


def ferpipe(uri: str, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--tracking-uri", uri])


def run_of(uri: str, version: str) -> str:
    return str(connect(uri).get_model_version(names.REGISTERED_MODEL, version).run_id)


def test_promote_rollback_and_history_tell_one_story(uri: str) -> None:
    assert ferpipe(uri, "promote", "1").stdout == "version 1 is champion, the first one\n"
    promoted = json.loads(ferpipe(uri, "promote", "2", "--reason", "better", "--json").stdout)
    assert (promoted["champion"], promoted["changed"], promoted["entry"]["previous"]) == ("2", True, "1")
    assert ferpipe(uri, "rollback").stdout == "version 1 is champion again instead of version 2\n"
    told = json.loads(ferpipe(uri, "history", "--json").stdout)
    assert [(entry["action"], entry["version"]) for entry in told] == [
        ("promote", "1"),
        ("promote", "2"),
        ("rollback", "1"),
    ]
    shown = ferpipe(uri, "history").stdout
    assert "better" in shown
    assert "1 champion" in shown


def test_a_refusal_is_one_sentence_and_status_1(uri: str) -> None:
    refused = ferpipe(uri, "promote", "2")
    assert refused.exit_code == 1
    assert refused.output.count("\n") == 1
    assert "`ferpipe gate 2`" in refused.output
    assert ferpipe(uri, "rollback").exit_code == 1


def test_force_without_a_reason_is_wrong_usage(uri: str) -> None:
    assert ferpipe(uri, "promote", "2", "--force").exit_code == 2


def test_history_says_that_an_alias_was_moved_and_repair_puts_it_back(uri: str) -> None:
    ferpipe(uri, "promote", "1")
    client: mlflow.MlflowClient = connect(uri)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, "2")
    assert "note: alias champion is at version 2, but version 1 is champion since" in ferpipe(uri, "history").stderr
    assert str(client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version) == "2"
    assert ferpipe(uri, "repair").stdout.startswith("alias champion was at version 2; set to version 1")
    assert str(client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version) == "1"
    assert ferpipe(uri, "repair").stdout == "nothing to repair: aliases and tags are where the record says\n"
    assert json.loads(ferpipe(uri, "repair", "--json").stdout)["repaired"] == []


def test_a_dry_run_repairs_nothing(uri: str) -> None:
    ferpipe(uri, "promote", "1")
    client: mlflow.MlflowClient = connect(uri)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, "2")
    assert "version 1 is the champion already" in ferpipe(uri, "promote", "1", "--dry-run").stdout
    assert str(client.get_model_version_by_alias(names.REGISTERED_MODEL, names.CHAMPION).version) == "2"


def test_history_before_any_promotion(uri: str) -> None:
    assert "nothing was promoted yet" in ferpipe(uri, "history").stdout


def test_compare_holds_the_last_candidates_against_the_best(uri: str) -> None:
    best, other = json.loads(ferpipe(uri, "compare", "--json").stdout)
    assert (best["name"], best["against"], best["worst_emotion"], best["worst_recall"]) == ("lenet", None, "angry", 0.9)
    assert other["against"]["macro_f1"]["difference"] == pytest.approx(-0.4, abs=1e-9)
    assert other["against"]["macro_f1"]["high"] < 0
    assert (other["against"]["rows"], set(other["against"]["recall"])) == (700, set(EMOTIONS))
    assert (other["version"], other["verdict"]) == ("2", "approved")


def test_compare_holds_against_the_champion(uri: str) -> None:
    ferpipe(uri, "promote", "1")
    ferpipe(uri, "promote", "2")
    first, champion = json.loads(ferpipe(uri, "compare", "--json").stdout)
    assert (champion["alias"], champion["against"]) == ("champion", None)
    assert first["against"]["macro_f1"]["difference"] == pytest.approx(0.4, abs=1e-9)


def test_where_the_alias_was_moved_by_hand_everything_goes_by_the_record_and_says_so(uri: str) -> None:
    ferpipe(uri, "promote", "1")
    client = connect(uri)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, "2")
    note = "alias champion is at version 2, but version 1 is champion since"
    compared = ferpipe(uri, "compare", "--json")
    standing = {row["version"]: (row["alias"], row["against"] is None) for row in json.loads(compared.stdout)}
    assert standing == {"1": ("champion", True), "2": ("", False)}
    assert compared.stderr.startswith(f"note: {note}")
    assert notes_at(client, address_of(client, "champion"))[0].startswith(note)  # `predict` answers by the alias
    assert notes_at(client, address_of(client, "2")) == ()
    client.delete_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION)
    assert "alias champion is unset, but version 1 is champion" in ferpipe(uri, "predict", "face.png").output
    parent = client.get_run(run_of(uri, "1")).data.tags["mlflow.parentRunId"]
    assert summary(uri, parent).champion == "1"


def test_compare_takes_runs_versions_and_parents(uri: str) -> None:
    client = connect(uri)
    parent = client.get_run(run_of(uri, "1")).data.tags["mlflow.parentRunId"]
    candidate = run_of(uri, "1")
    for given, expected in (([parent], 2), ([candidate], 1), ([parent[:7]], 2), ([candidate[:12]], 1), (["1", "2"], 2)):
        assert len(json.loads(ferpipe(uri, "compare", *given, "--json").stdout)) == expected
    missing = ferpipe(uri, "compare", "0" * 32)
    assert missing.exit_code == 1
    assert "no such run" in missing.output


def test_a_mistyped_run_is_told_from_a_version_that_is_not_there(uri: str) -> None:
    for words in (["show"], ["compare"], ["gate"], ["compare", "1", "--against"]):
        refused = ferpipe(uri, *words, "0b07cf")
        assert refused.exit_code == 1
        assert "'0b07cf' is no run's id (7 to 32 of its characters, 0-9 and a-f" in refused.output
        assert "no version or alias of facial-expression" in refused.output
    assert "there is no champion yet; `ferpipe promote`" in ferpipe(uri, "show", "champion").output
    assert "facial-expression has no version '9'" in ferpipe(uri, "show", "9").output
    ferpipe(uri, "promote", "2", "--force", "--reason", "test")
    connect(uri).set_registered_model_alias(names.REGISTERED_MODEL, names.CHAMPION, "1")
    assert json.loads(ferpipe(uri, "show", "champion", "--json").stdout)["run_id"] == run_of(uri, "2")


def test_compare_prints_a_table_with_intervals(uri: str) -> None:
    shown = ferpipe(uri, "compare").stdout
    assert "-0.400 [-0.4" in shown
    assert run_of(uri, "1")[:8] in shown
    assert "1 approved" in shown


def test_compare_as_csv_reads_back(uri: str) -> None:
    lines = list(csv.DictReader(io.StringIO(ferpipe(uri, "compare", "--csv").stdout)))
    assert [line["name"] for line in lines] == ["lenet", "multi"]
    assert float(lines[1]["macro_f1_difference"]) == pytest.approx(-0.4, abs=1e-9)


def test_compare_returns_the_address_in_the_mlflow_ui(uri: str) -> None:
    address = ferpipe(uri, "compare", "--open").stdout.strip()
    assert address.startswith("http://127.0.0.1:5000/#/compare-runs?runs=%5B%22")
    assert address.endswith("&workflowType=machine_learning")  # else MLflow's page for language models
    assert run_of(uri, "2") in address


def test_a_command_without_model_takes_the_only_one_or_names_them_all(uri: str) -> None:
    client = connect(uri)
    versions.ensure_registered_model(client, names.SAMPLE_MODEL)
    client.create_registered_model("somebody-elses")
    for words in (["promote", "1"], ["history"], ["repair"], ["rollback"], ["compare", "1"]):
        refused = ferpipe(uri, *words)
        assert refused.exit_code == 1
        assert "there are 2 registered models; say which with --model: facial-expression" in refused.output
        assert names.SAMPLE_MODEL in refused.output
        assert "somebody-elses" not in refused.output
    nobody = ferpipe(uri, "predict", "face.png").output
    assert nobody.startswith("Error: none of the registered models facial-expression, facial-expression-sample has a")
    assert "version 'champion'; make one with `ferpipe promote`" in nobody
    assert (
        ferpipe(uri, "promote", "1", "--model", "facial-expression").stdout == "version 1 is champion, the first one\n"
    )
    asked = ferpipe(uri, "predict", "face.png").output
    assert asked == "Error: there are 2 registered models; say which with --model: facial-expression@champion\n"
    nothing = ferpipe(uri, "history", "--model", names.SAMPLE_MODEL)
    assert "nothing was promoted yet" in nothing.stdout


def test_a_model_is_addressed_in_every_way_a_person_may_name_it(uri: str) -> None:
    client = connect(uri)
    assert address_of(client, "champion") == "models:/facial-expression@champion"
    assert address_of(client, "3") == "models:/facial-expression/3"
    versions.ensure_registered_model(client, names.SAMPLE_MODEL)
    assert address_of(client, names.SAMPLE_MODEL) == "models:/facial-expression-sample@champion"
    for given in ("facial-expression/2", "facial-expression@challenger"):
        assert address_of(client, given) == f"models:/{given}"
    assert address_of(client, "models:/other/1") == "models:/other/1"
    run_id = run_of(uri, "1")
    for given in (run_id, run_id[:7], f"runs:/{run_id[:7]}/model", f"runs:/{run_id}/model"):
        assert address_of(client, given) == f"runs:/{run_id}/model"
    with pytest.raises(UserError, match="no such run"):
        address_of(client, "runs:/0000000/model")


def test_what_is_next_is_promote_only_where_the_runs_own_challenger_waits(uri: str) -> None:
    client = connect(uri)
    parent = client.get_run(run_of(uri, "1")).data.tags["mlflow.parentRunId"]
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHALLENGER, "2")
    assert "promote" not in summary(uri, parent).next[0]  # judged against version 1, which is no champion yet
    ferpipe(uri, "promote", "1")
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHALLENGER, "2")
    assert [line.split("ferpipe ")[1].split()[0] for line in summary(uri, parent).next] == ["promote", "compare", "ui"]
    other = client.create_run(tree.experiment_id(client, names.EXPERIMENT), tags={names.RUN_KIND: "pipeline"})
    found = summary(uri, other.info.run_id)
    assert [line.split("ferpipe ")[1].split()[0] for line in found.next] == ["compare", "ui"]


def test_a_candidate_registered_in_a_second_model_is_shown_as_the_version_of_its_own_runs_model(uri: str) -> None:
    client = connect(uri)
    ferpipe(uri, "promote", "1")
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHALLENGER, "2")
    versions.ensure_registered_model(client, "zebra")
    for version in ("1", "2"):
        client.create_model_version(
            "zebra", "s3://nowhere", run_of(uri, version), tags={"validation_status": "rejected"}
        )
    for model, standing in (("", ["champion", "challenger"]), ("zebra", ["", ""])):
        rows = json.loads(ferpipe(uri, "compare", "--json", "--model", model).stdout)
        assert [(row["model"], row["alias"]) for row in rows] == [
            (model or names.REGISTERED_MODEL, s) for s in standing
        ]
    assert "zebra" not in ferpipe(uri, "compare").stdout
    parent = client.get_run(run_of(uri, "1")).data.tags["mlflow.parentRunId"]
    assert summary(uri, parent).next[0].endswith("promote --model facial-expression")
    client.delete_model_version(names.REGISTERED_MODEL, "2")
    shown = ferpipe(uri, "compare").stdout  # rows of two models
    assert re.search(r"facial-expression\b.*zebra", shown, re.DOTALL)


def test_a_version_is_named_by_its_number_an_alias_its_run_or_the_pipeline_run_whose_best_it_is(uri: str) -> None:
    client = connect(uri)
    client.set_registered_model_alias(names.REGISTERED_MODEL, names.CHALLENGER, "2")
    candidate = run_of(uri, "2")
    parent = client.get_run(candidate).data.tags["mlflow.parentRunId"]
    for given in ("2", names.CHALLENGER, candidate, candidate[:8]):
        assert named_version(client, given).number == "2"
    with pytest.raises(UserError, match="is no version of a registered model"):
        named_version(client, parent)
    client.set_tag(parent, names.VERSION, f"{names.REGISTERED_MODEL}/2")
    assert named_version(client, parent[:8]).number == "2"


def test_runs_lists_good_and_bad_ones_newest_first(uri: str) -> None:
    client = connect(uri)
    experiment_id = tree.experiment_id(client, names.EXPERIMENT)
    tags = {names.RUN_KIND: "pipeline", names.DATA_NAME: "fer2013", names.BEST_CANDIDATE: "lenet-tuned-s0"}
    tags |= {names.VERDICT: "rejected", names.VERSION: "facial-expression/7"}
    good = client.create_run(experiment_id, tags=tags, start_time=4_000_000_000_000).info.run_id
    client.log_metric(good, metric("test", "macro_f1"), 0.5714)
    bad = client.create_run(experiment_id, tags={names.RUN_KIND: "pipeline"}, start_time=4_000_000_060_000).info.run_id
    tree.close(client, bad, "FAILED", "ingest: the CSV [x] is empty")
    first, second, third = json.loads(ferpipe(uri, "runs", "--json").stdout)
    assert [first["run_id"], second["run_id"]] == [bad, good]
    assert (second["started"], second["data"], second["macro_f1"]) == ("2096-10-02T07:06:40Z", "fer2013", 0.5714)
    assert (third["candidates"], third["failed"]) == (2, 0)
    shown = ferpipe(uri, "runs", "--last", "2").stdout
    for word in (good[:8], "2096-10-02 07:06", "fer2013", "0.571", "rejected", "facial-expression/7", "the CSV [x] is"):
        assert word in shown, word
    assert third["run_id"][:8] not in shown


@pytest.mark.parametrize("verb", ["runs", "show", "promote", "rollback", "history", "gate", "compare", "repair"])
def test_help_is_the_documentation(verb: str) -> None:
    shown = CliRunner().invoke(cli, [verb, "--help"])
    assert shown.exit_code == 0
    assert len(shown.output) > 500
    assert "--json" in shown.output
