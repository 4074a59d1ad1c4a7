"""One definition of every parameter: DAG, CLI, config files and MLproject take theirs from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ferkit.errors import UserError
from ferkit.layers import Layer, merge, source_of
from mlflow_project.entry_points import ENTRY_POINTS, mlproject, mlproject_text
from pipeline.cli import cli
from pipeline.dag import pipeline_for
from pipeline.layers import explain, layers_of, read_assignment, read_config, read_parameters
from pipeline.parameters import SECTIONS, Parameters, describe

ROOT = Path(__file__).resolve().parent.parent.parent
WHERE = {"tracking_uri", "state_dir", "git_commit", "parent_run_id", "labels", "owner"}
"""DAG parameters that say where a run lives, not what it does."""


def test_the_dags_defaults_are_the_definitions():
    inputs = pipeline_for().component_spec.inputs or {}
    assert {name: spec.default for name, spec in inputs.items() if name not in WHERE} == Parameters().dump()
    assert set(inputs) >= WHERE


def test_the_commands_help_shows_every_parameter_with_default_and_help():
    shown = CliRunner().invoke(cli, ["run", "--help"]).output
    for name, field in describe():
        default = field.get_default(call_default_factory=True)
        assert f"  {name} = {'from the recipe' if default is None else json.dumps(default)}\n" in shown
        assert f"      {field.description}\n" in shown


@pytest.mark.parametrize("section", ["train", "search", "ensemble"])
def test_a_section_with_nothing_behind_it_is_refused(section: str):
    with pytest.raises(UserError, match=f"{section}: has nothing behind it"):
        Parameters.parse({section: None})


def test_every_parameter_says_what_it_is():
    assert [name for name, field in describe() if not field.description] == []


def test_mlproject_is_what_the_definitions_say():
    assert (ROOT / "MLproject").read_text() == mlproject_text(), "run `make mlproject`"
    assert yaml.safe_load(mlproject_text()) == mlproject()


@pytest.mark.parametrize("name", [name for name, entry in ENTRY_POINTS.items() if entry.section])
def test_an_entry_point_says_all_parameters_of_its_step(name):
    said = mlproject_text().partition(f"  {name}:\n")[2].partition("    command:")[0]
    assert [one for one in SECTIONS[name].names() if f"      # {one}: " not in said] == []


def test_mlflow_logs_no_empty_parameters():
    """`mlflow run` logs every parameter that MLproject declares, so those without a value are not declared."""
    declared = [entry["parameters"] for entry in mlproject()["entry_points"].values()]
    assert {kind for parameters in declared for kind in parameters.values()} == {"string"}
    assert {name for parameters in declared for name in parameters} == {
        *("csv", "output", "data", "architecture", "run_id", "run_ids")
    }


def test_what_is_dumped_is_read_back():
    assert Parameters.parse(json.loads(json.dumps(Parameters().dump()))) == Parameters()


def test_kfps_floats_are_whole_numbers_again():
    dump = Parameters().dump()
    dump["train"]["seed"] = 3.0
    seed = Parameters.parse(dump).train.seed
    assert (seed, type(seed)) == (3, int)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configs_in_the_repository_are_valid(path):
    values = {key: value for key, value in read_config(path).items() if key != "cluster"}
    Parameters.parse(values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"trian": {}}, "trian: no such parameter; did you mean 'train'?"),
        ({"train": {"epoch": 3}}, "train.epoch: no such parameter; did you mean 'epochs'?"),
        ({"train": {"epochs": 0}}, "train.epochs: Input should be greater than or equal to 1 (received 0)"),
        ({"train": 3}, "train: a section takes `name: value` lines (received 3)"),
        ({"candidates": [{"seed": 1}]}, "candidates[0]: architecture: a candidate needs one"),
        ({"candidates": [{"architecture": "lenett"}]}, "did you mean 'lenet'?"),
        ({"candidates": [{"architecture": "lenet", "epoch": 3}]}, "did you mean 'epochs'?"),
        ({"candidates": []}, "candidates: "),
    ],
)
def test_a_wrong_config_is_refused_with_the_cure(values, sentence):
    with pytest.raises(UserError) as refusal:
        Parameters.parse(values)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("train.epoch=3", "train.epoch: no such parameter; did you mean 'train.epochs'?"),
        ("train.epochs", "write name=value"),
        ("candidates=[{", "candidates: not YAML that can be read"),
    ],
)
def test_a_wrong_assignment_is_refused_with_the_cure(assignment, sentence):
    with pytest.raises(UserError) as refusal:
        read_assignment(assignment)
    assert sentence in str(refusal.value)


def test_assignments_go_before_the_config_and_the_config_before_the_defaults(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("csv: from-config.csv\ntrain: {epochs: 3, seed: 1}\n")
    parameters = read_parameters(None, config, ["train.epochs=5"])
    assert (parameters.csv, parameters.train.epochs, parameters.train.seed) == ("from-config.csv", 5, 1)
    assert read_parameters("given.csv", config).csv == "given.csv"


def test_an_assignment_that_no_candidate_uses_is_refused(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("candidates: [{architecture: lenet, epochs: 3}, {architecture: multi_kernel, epochs: 4}]\n")
    with pytest.raises(UserError, match=r"train.epochs: every candidate sets epochs itself, .*candidates=\["):
        read_parameters("faces.csv", config, ["train.epochs=5"])
    config.write_text("candidates: [{architecture: lenet, epochs: 3}, {architecture: multi_kernel}]\n")
    assert read_parameters("faces.csv", config, ["train.epochs=5"]).train.epochs == 5


def test_the_samples_config_is_for_the_sample_alone():
    assert read_parameters(None, None).candidates == read_parameters("sample", None).candidates
    for others in (read_parameters("faces.csv", None), read_parameters(None, None, ["csv=faces.csv"])):
        assert others.csv == "faces.csv"
        assert all("width" not in candidate for candidate in others.candidates)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "just words"])
def test_a_config_that_is_none_is_one_sentence(tmp_path, text):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml: "):
        read_config(config)


def test_a_section_that_is_no_section_is_one_sentence():
    with pytest.raises(UserError, match=r"train: a section takes `name: value` lines \(received 5\)"):
        merge([Layer("config.yaml", {"train": 5}), Layer("--set", {"train": {"epochs": 3}})], SECTIONS)


def test_a_later_layer_replaces_single_settings_and_whole_lists():
    low = Layer("low", {"train": {"epochs": 3, "seed": 1}, "candidates": [{"architecture": "lenet"}], "csv": None})
    high = Layer("high", {"train": {"epochs": 5, "batch_size": 8}, "candidates": [{"architecture": "multi_kernel"}]})
    assert merge([low, high], SECTIONS) == {
        "train": {"epochs": 5, "seed": 1, "batch_size": 8},
        "candidates": [{"architecture": "multi_kernel"}],
        "csv": None,
    }
    assert source_of([low, high], "train.epochs", SECTIONS) == "high"
    assert source_of([low, high], "train.seed", SECTIONS) == "low"
    assert source_of([low, high], "csv", SECTIONS) == ""


def test_explain_names_the_source_of_every_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    config = tmp_path / "config.yaml"
    config.write_text(
        "balance: {seed: 3}\ntrain: {epochs: 3, averaging: none, optimizer: sgd}\n"
        "candidates: [{architecture: multi_kernel, seed: 4}, {architecture: lenet}]\n"
    )
    layers = layers_of("faces.csv", config, ["train.batch_size=7"])
    found = {one.name: (one.value, one.source) for one in explain(layers)}
    file = str(config)
    assert found["csv"] == ("faces.csv", "--csv")
    assert found["balance.seed"] == (3, file)
    assert found["balance.strategy"][1] == "default"
    assert found["candidates[0].seed"] == (4, file)
    assert found["candidates[0].batch_size"] == (7, "--set train.batch_size=7")
    assert found["candidates[0].tta"] == ("none", file)
    assert found["candidates[0].concatenate"] == ("channels", "recipe tuned, for multi_kernel")
    assert found["candidates[1].learning_rate"] == (0.1, "recipe tuned, for sgd")
    assert found["candidates[1].schedule"] == ("cosine", "recipe tuned")
    assert found["candidates[1].dense"] == (256, "default")


def test_explain_shows_no_password():
    whole = "https://ann:hunter2@host/x.csv?X-Amz-Signature=hunter3"
    for layers in (layers_of(whole, None), layers_of(None, None, [f"csv={whole}"])):
        found = {one.name: (one.value, one.source) for one in explain(layers)}
        assert found["csv"][0] == "https://host/x.csv"
        assert "hunter" not in str(found)


def test_a_parameters_old_name_works_with_a_warning(caplog: pytest.LogCaptureFixture):
    old = {"scaling": "face", "averaging": "crops", "augment": False, "select_by": "loss", "warmup": 0.25, "ema": 0.125}
    values = {"train": {"faces_on": "host"}, "balance": {"strategy": "augment"}}
    parsed = Parameters.parse({**values, "candidates": [{"architecture": "lenet", **old}]})
    assert parsed.balance.strategy == "augmented_oversampling"
    assert parsed.train.dataset_placement == "host"
    assert parsed.candidates == [
        {
            "architecture": "lenet",
            "normalization": "per_image",
            "tta": "crops",
            "random_affine": False,
            "monitor": "loss",
            "warmup_ratio": 0.25,
            "ema_horizon": 0.125,
        }
    ]
    assert read_parameters("faces.csv", None, ["train.ema=0.5"]).train.ema_horizon == 0.5
    assert "train.ema is called ema_horizon since 0.2" in caplog.text
    with pytest.raises(UserError, match="ema: is the old name of ema_horizon, which is set too"):
        Parameters.parse({"train": {"ema": 0.1, "ema_horizon": 0.2}})


def test_keras_own_variable_chooses_the_backend_where_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    config = tmp_path / "config.yaml"
    config.write_text("train: {backend: tensorflow}\n")
    assert read_parameters("faces.csv", None).train.backend == "jax"
    assert read_parameters("faces.csv", config).train.backend == "tensorflow"
    assert read_parameters("faces.csv", None, ["train.backend=tensorflow"]).train.backend == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(UserError, match=r"train.backend: .*\(received 'torch'\)"):
        read_parameters("faces.csv", None)


@pytest.mark.parametrize(
    ("csv", "sentence"),
    [
        ("", "csv: is empty"),
        (" ", "csv: is empty"),
        ("http://[your-server]/a.csv", "brackets in an address are for IPv6"),
        ("http://host:99999/a.csv", "a port is a number from 1 to 65535"),
        ("https://ann:geheim@host:x/a.csv", "https://host:x/a.csv: a port is a number"),
        ("HTTPS://ann:geheim@host:x/a.csv", "HTTPS://host:x/a.csv: a port is a number"),
        ("https:/ann:geheim@host/a.csv", "csv: a web address begins with http:// or https://"),
        ("a\udce9.csv", "csv: holds what is no text in UTF-8"),
        ("https://ann:geheim@host/\0", "csv: holds what is no text in UTF-8 ('\\x00', character 25)"),
        (["https://ann:geheim@host/a.csv"], "csv: Input should be a valid string"),
    ],
)
def test_a_csv_that_is_no_address_is_refused_and_never_taken_for_the_sample(csv: Any, sentence: str):
    for read in (lambda: read_parameters(csv, None), lambda: Parameters.parse({"csv": csv})):
        with pytest.raises(UserError) as refusal:
            read()
        assert sentence in str(refusal.value)
        assert "geheim" not in str(refusal.value)


def test_a_seed_that_kfp_would_round_is_refused_wherever_it_stands():
    for values in ({"train": {"seed": 2**53 + 1}}, {"candidates": [{"architecture": "lenet", "seed": 2**60}]}):
        with pytest.raises(UserError, match=r"seed: whole numbers over 2\*\*53"):
            Parameters.parse(values)


def test_recipe_fills_the_recipe_of_train_and_contradicts_none():
    assert Parameters.parse({"recipe": "notebook"}) == Parameters.parse({"train": {"recipe": "notebook"}})
    with pytest.raises(UserError, match=r"^recipe: notebook, but train.recipe is tuned; set one of them$"):
        Parameters.parse({"recipe": "notebook", "train": {"recipe": "tuned"}})


@pytest.mark.parametrize("name", ["a/b", "a@b", "models:x"])
def test_a_registered_models_name_that_no_address_could_hold_is_refused(name: str):
    with pytest.raises(UserError, match="registered_model"):
        Parameters.parse({"registered_model": name})


SPACE = "{architecture: lenet, learning_rate: {low: 0.001, high: 0.01, log: true}}"


def test_a_search_takes_the_place_of_candidates():
    with pytest.raises(UserError, match=r"^candidates: a search takes their place; take them out"):
        Parameters.parse({"candidates": [{"architecture": "lenet"}], "search": {"space": {"architecture": "lenet"}}})
    with pytest.raises(UserError, match=r"^search.space.epoch: .* did you mean 'epochs'\?"):
        Parameters.parse({"search": {"space": {"architecture": "lenet", "epoch": [1]}}})
    with pytest.raises(UserError, match=r"^search.trial: no such parameter; did you mean 'trials'\?"):
        Parameters.parse({"search": {"trial": 3}})


def test_the_samples_usual_candidates_make_way_for_a_search_that_is_set():
    found = read_parameters(None, None, [f"search.space={SPACE}", "train.epochs=2"])
    assert found.candidates == []
    assert (found.search.is_on, found.train.epochs, found.train.batch_size) == (True, 2, 32)
    assert Parameters.parse(json.loads(json.dumps(found.dump()))) == found
    with pytest.raises(UserError, match=r"train.learning_rate: search.space sets learning_rate itself"):
        read_parameters(None, None, [f"search.space={SPACE}", "train.learning_rate=0.1"])


def test_the_command_search_wants_something_to_search():
    shown = CliRunner().invoke(cli, ["search", "--csv", "faces.csv"])
    assert shown.exit_code == 1
    assert "search.space is empty: say what to search" in shown.output


@pytest.mark.parametrize("name", ["search.yaml", "search-fer2013.yaml"])
def test_the_searches_that_come_with_the_package_are_read(name: str):
    assert read_parameters(None, ROOT / "configs" / name).search.is_on


def test_more_candidates_than_an_argument_holds_are_refused():
    """Linux's own limit is on the words of a step's command: 128 kB each."""
    candidates = [{"architecture": "lenet", "seed": seed} for seed in range(4000)]
    with pytest.raises(UserError, match=r"candidates: 4,000 of them take 163 kB.*put what all share under train"):
        Parameters.parse({"candidates": candidates})
