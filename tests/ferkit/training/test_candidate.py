"""A candidate is complete, checked, and parsed without loading a backend."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ferkit.errors import UserError
from ferkit.networks.architectures import find, names
from ferkit.training.candidate import Candidate, parse_candidate
from ferkit.training.recipes import read_recipe, recipe_names
from ferkit.training.settings import Train


@pytest.mark.parametrize("architecture", names())
@pytest.mark.parametrize("recipe", recipe_names())
def test_a_recipe_leaves_nothing_open(architecture: str, recipe: str):
    candidate = parse_candidate({"architecture": architecture, "recipe": recipe}, {})
    assert [key for key, value in candidate.dump().items() if value is None] == []


def test_the_notebooks_settings():
    lenet = parse_candidate({"architecture": "lenet", "recipe": "notebook"}, {}).dump()
    assert (lenet["epochs"], lenet["batch_size"], lenet["random_affine"], lenet["normalization"]) == (
        50,
        128,
        False,
        "none",
    )
    multi = parse_candidate({"architecture": "multi_kernel", "recipe": "notebook"}, {}).dump()
    assert (multi["epochs"], multi["batch_size"], multi["random_affine"], multi["normalization"]) == (
        10,
        1000,
        True,
        "none",
    )
    assert (multi["rotation"], multi["shift"], multi["zoom"], multi["flip"]) == (20.0, 0.2, 0.2, True)
    assert multi["concatenate"] == "height"


def test_the_candidates_own_value_goes_before_the_sections_and_that_before_the_recipes():
    tuned = read_recipe("tuned").train
    assert parse_candidate({"architecture": "lenet"}, {}).train.epochs == tuned["epochs"]
    assert parse_candidate({"architecture": "lenet"}, {"epochs": 3}).train.epochs == 3
    assert parse_candidate({"architecture": "lenet", "epochs": 5}, {"epochs": 3}).train.epochs == 5


def test_a_section_dumped_in_full_leaves_the_recipe_its_say():
    full = Train().model_dump(mode="json")
    assert parse_candidate({"architecture": "lenet"}, full) == parse_candidate({"architecture": "lenet"}, {})
    assert parse_candidate({"architecture": "lenet", "recipe": "notebook"}, full).train.epochs == 50


@pytest.mark.parametrize("architecture", ["lenet", "multi_kernel"])
def test_a_dump_is_json_and_is_read_back(architecture: str):
    candidate = parse_candidate({"architecture": architecture, "seed": 3, "width": 0.5}, {})
    over_the_wire = json.loads(json.dumps(candidate.dump()), parse_int=float)  # as kfp's local runner sends it
    assert Candidate.load(over_the_wire) == candidate
    assert Candidate.load(over_the_wire).dump() == candidate.dump()


def test_the_name_tells_network_recipe_and_seed():
    assert parse_candidate({"architecture": "lenet", "seed": 7}, {"recipe": "notebook"}).name == "lenet-notebook-s7"


@pytest.mark.parametrize(
    ("candidate", "sentence"),
    [
        ({}, "architecture: a candidate needs one; use one of lenet, multi_kernel"),
        ({"architecture": "lenett"}, "architecture: there is no 'lenett'; did you mean 'lenet'?"),
        ({"architecture": "lenet", "epoch": 3}, "epoch: neither lenet nor train has such a parameter; did you mean"),
        ({"architecture": "lenet", "kernels": [3]}, "kernels: neither lenet nor train"),
        ({"architecture": "lenet", "epochs": 0}, "train.epochs: .* (received 0)"),
        ({"architecture": "lenet", "filters": [-64, 0]}, "lenet.filters.0: .* greater than 0 (received -64)"),
        ({"architecture": "multi_kernel", "kernels": [0]}, "multi_kernel.kernels.0: .* greater than 0"),
        ({"architecture": "multi_kernel", "filters": [8, 0]}, "multi_kernel.filters.1: .* greater than 0"),
        ({"architecture": "multi_kernel", "dense": [0]}, "multi_kernel.dense.0: .* greater than 0"),
        ({"architecture": "multi_kernel", "concatenate": "width"}, "multi_kernel.concatenate: .*'width'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(candidate: dict[str, object], sentence: str):
    with pytest.raises(UserError, match=sentence.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")):
        parse_candidate(candidate, {})


def test_no_architectures_parameter_hides_one_of_train():
    for name in names():
        assert set(find(name).NetworkSettings.model_fields) & set(Train.model_fields) == set()


def test_parsing_loads_no_backend():
    code = (
        "import sys; from ferkit.training.candidate import parse_candidate; "
        "parse_candidate({'architecture': 'multi_kernel'}, {}); "
        "print([name for name in ('keras', 'tensorflow', 'jax', 'mlflow', 'kfp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
