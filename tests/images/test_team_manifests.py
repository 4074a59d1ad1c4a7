"""images/compose.yaml and images/kubernetes/mlflow: valid, alike, and without a secret in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
KUBERNETES = IMAGES / "kubernetes" / "mlflow"
OLDEST_KUBERNETES, NEWEST_KUBERNETES = "1.30", "1.36"
SECRET = re.compile("PASSWORD|SECRET|KEY|TOKEN")


def documents(folder: Path) -> list[dict[str, Any]]:
    """Every resource that the folder's kustomization names."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [document for name in listed for document in yaml.safe_load_all((folder / name).read_text())]


def of_kind(kind: str, name: str) -> dict[str, Any]:
    [found] = [one for one in documents(KUBERNETES) if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def container(kind: str, name: str) -> dict[str, Any]:
    [found] = of_kind(kind, name)["spec"]["template"]["spec"]["containers"]
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((IMAGES / "compose.yaml").read_text())


def example() -> dict[str, str]:
    lines = (IMAGES / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, NEWEST_KUBERNETES])
def test_every_manifest_is_valid_to_the_letter(version: str) -> None:
    for document in documents(KUBERNETES):
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_would_be_noticed() -> None:
    document = of_kind("Deployment", "mlflow")
    document["spec"]["template"]["spec"]["automountServiceAcountToken"] = False
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, NEWEST_KUBERNETES, strict=True)


def test_names_within_the_manifests_lead_somewhere() -> None:
    for kind, name in (("Deployment", "mlflow"), ("StatefulSet", "postgres")):
        labels = of_kind(kind, name)["spec"]["template"]["metadata"]["labels"]
        assert of_kind(kind, name)["spec"]["selector"]["matchLabels"] == labels
        assert of_kind("Service", name)["spec"]["selector"] == labels
    [policy] = of_kind("NetworkPolicy", "postgres")["spec"]["ingress"]
    assert policy["from"] == [{"podSelector": {"matchLabels": {"app": "mlflow"}}}]
    backend = of_kind("Ingress", "mlflow")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend["port"]["name"] in [port["name"] for port in of_kind("Service", backend["name"])["spec"]["ports"]]
    hosts = {env["name"]: env.get("value") for env in container("Deployment", "mlflow")["env"]}
    assert hosts["PGHOST"] == of_kind("Service", "postgres")["metadata"]["name"]


def test_both_ask_for_what_the_example_lists_and_nothing_else(compose: dict[str, Any]) -> None:
    text = (IMAGES / "compose.yaml").read_text()
    optional = {"MLFLOW_IMAGE", "LISTEN"}
    assert set(re.findall(r"\$\{(\w+)", text)) - optional == example().keys()
    keys = {
        env["valueFrom"]["secretKeyRef"]["key"]
        for kind, name in (("Deployment", "mlflow"), ("StatefulSet", "postgres"))
        for env in container(kind, name)["env"]
        if "valueFrom" in env
    }
    assert keys == example().keys()


def test_no_secret_has_a_value_in_a_file(compose: dict[str, Any]) -> None:
    assert [value for name, value in example().items() if SECRET.search(name) and value] == []
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            assert not SECRET.search(name) or re.fullmatch(r"\$\{\w+:\?[^}]+\}", str(value)), name
    for kind, name in (("Deployment", "mlflow"), ("StatefulSet", "postgres")):
        for env in container(kind, name)["env"]:
            assert not SECRET.search(env["name"]) or "secretKeyRef" in env["valueFrom"]


def test_the_server_is_started_alike_by_both(compose: dict[str, Any]) -> None:
    service, pod = compose["services"]["mlflow"], container("Deployment", "mlflow")
    assert pod["command"] == service["command"]
    assert {env["name"] for env in pod["env"]} == service["environment"].keys()
    fixed = {env["name"]: env["value"] for env in pod["env"] if "value" in env}
    assert fixed == {name: value for name, value in service["environment"].items() if "$" not in value}


def test_the_server_runs_as_nobody_on_a_read_only_disk(compose: dict[str, Any]) -> None:
    service, pod = compose["services"]["mlflow"], container("Deployment", "mlflow")
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert pod["securityContext"]["readOnlyRootFilesystem"]
    assert of_kind("Deployment", "mlflow")["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
    assert of_kind("Namespace", "mlflow")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_git_never_takes_a_filled_in_file() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_servers_packages_are_the_steps_own() -> None:
    """A server of another MLflow than its clients refuses what they send, now and then."""
    pins = [
        dict(re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements-server.lock", "requirements.lock")
    ]
    server, steps = pins
    assert {name: version for name, version in server.items() if steps.get(name, version) != version} == {}
    assert {"mlflow", "psycopg2-binary", "flask-wtf", "boto3"} <= server.keys()
    assert not {"tensorflow-cpu", "kfp"} & server.keys()
