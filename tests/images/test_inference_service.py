"""images/kubernetes/serving: an InferenceService by KServe's own models, and what is in it by Kubernetes'."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml

from ferkit.tracking import names

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MANIFEST = ROOT / "images" / "kubernetes" / "serving" / "inference-service.yaml"
REQUIREMENTS = HERE / "kserve-requirements.txt"

pytestmark = pytest.mark.services  # it installs KServe's package, without the hundred that come with it


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`kserve.models`, generated from the types of KServe's API; the rest of the package stays out."""
    folder = tmp_path_factory.mktemp("kserve")
    pip = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", folder]
    subprocess.run([*pip, "-r", REQUIREMENTS], check=True)
    package = types.ModuleType("kserve")
    package.__path__ = [str(folder / "kserve")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kserve", package)
        yield importlib.import_module("kserve.models")
        for name in [name for name in sys.modules if name.startswith("kserve.")]:
            patch.delitem(sys.modules, name)


def check(value: Any, kind: str, models: Any, where: str) -> None:
    """Fails for a field that KServe or Kubernetes does not know, or a value of another type."""
    if item := re.fullmatch(r"list\[(.+)\]", kind):
        assert isinstance(value, list), where
        for number, one in enumerate(value):
            check(one, item[1], models, f"{where}[{number}]")
    elif item := re.fullmatch(r"dict\(str, (.+)\)", kind):
        assert isinstance(value, dict), where
        for name, one in value.items():
            check(one, item[1], models, f"{where}.{name}")
    elif kind in ("str", "int", "bool"):
        assert type(value).__name__ == kind, f"{where}: {value!r} is no {kind}"
    elif kind in ("object", "ResourceQuantity", "IntOrString"):
        assert isinstance(value, str | int), where
    else:
        model = getattr(models, kind, None) or getattr(kubernetes.client, kind.removeprefix("K8sIoApi"))
        fields = {attribute: name for name, attribute in model.attribute_map.items()}
        unknown = value.keys() - fields.keys()
        assert not unknown, f"{where}: {kind} has no {', '.join(unknown)}"
        for name, one in value.items():
            check(one, model.openapi_types[fields[name]], models, f"{where}.{name}")
        model(**{fields[name]: one for name, one in value.items()})  # refuses what lacks a required field


@pytest.fixture
def service() -> dict[str, Any]:
    return yaml.safe_load(MANIFEST.read_text())


def test_kserve_knows_every_field(service: dict[str, Any], models: Any) -> None:
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    check(service, "V1beta1InferenceService", models, "service")


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        (("spec", "canary", 0), "trafficPercentage", 10),
        (("spec", "predictor", "containers", 0), "comand", ["mlflow"]),
        (("spec", "canary", 0), "trafficPercent", "10"),
        (("spec", "predictor", "containers", 0, "ports", 0), "containerPort", "8080"),
    ],
)
def test_a_mistake_would_be_noticed(
    service: dict[str, Any], models: Any, path: tuple[Any, ...], name: str, value: Any
) -> None:
    place: Any = service
    for step in path:
        place = place[step]
    place[name] = value
    with pytest.raises(AssertionError):
        check(service, "V1beta1InferenceService", models, "service")


def test_the_challenger_is_the_champions_canary_and_differs_in_nothing_else(service: dict[str, Any]) -> None:
    """KServe lays what a canary's predictor says over the stable one's; lists it replaces whole."""
    stable, [canary] = service["spec"]["predictor"], service["spec"]["canary"]
    assert 0 < canary["trafficPercent"] < 50
    served = {}
    for predictor in (stable, canary["predictor"]):
        [container] = predictor["containers"]
        [address] = container.pop("args")
        served[predictor["name"]] = address
    model = f"--model-uri=models:/{names.REGISTERED_MODEL}"
    assert served == {
        names.CHAMPION: f"{model}@{names.CHAMPION}",
        names.CHALLENGER: f"{model}@{names.CHALLENGER}",
    }
    assert canary["predictor"]["containers"] == stable["containers"]
    assert canary["predictor"]["volumes"] == stable["volumes"]
    assert not [name for name in canary["predictor"] if "scale" in name.lower() or name == "maxReplicas"]
