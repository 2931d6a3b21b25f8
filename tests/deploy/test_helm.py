"""The chart: what its values may be, what it makes of five sets of them, and that it fits the program."""

import json
import os
import re
import shutil
import subprocess
import venv
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tocsin.settings import defaults

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/tocsin"
SETS = sorted((CHART / "ci").glob("*.yaml"))
HELM = "helm.sh/helm/v3/cmd/helm@v3.18.4"
KUBERNETES = ("1.30.0", "1.34.0")
KINDS = {
    "smallest": {"ConfigMap", "NetworkPolicy", "Service", "ServiceAccount", "StatefulSet"},
    "closed": {"ConfigMap", "NetworkPolicy", "Service", "StatefulSet"},
    "standard": {"ConfigMap", "Deployment", "Ingress", "Job", "NetworkPolicy", "PodDisruptionBudget", "Service",
                 "ServiceAccount"},
    "scaled": {"ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Job", "NetworkPolicy", "PodDisruptionBudget",
               "Service", "ServiceAccount"},
    "watched": {"ConfigMap", "Deployment", "Job", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule", "Service",
                "ServiceAccount", "ServiceMonitor"},
}  # fmt: skip


def merged(values: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    found = dict(values)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = merged(found[name], value) if both else value
    return found


VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))


# S4-18
@pytest.mark.parametrize("file", SETS, ids=lambda file: str(file.stem))
def test_values_fit_their_schema(file: Path) -> None:
    jsonschema.validate(merged(VALUES, yaml.safe_load(file.read_text("utf-8"))), SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"store": "mysql"},
        {"replica": 3},
        {"worker": {"replicas": 0}},
        {"publicUrl": "tocsin.example.com"},
        {"image": {"digest": "sha256:short"}},
        {"settings": {"TOCSIN_SECRET_KEY": "written into the values"}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(VALUES, wrong), SCHEMA)


def test_the_settings_that_it_names_are_there() -> None:
    texts = [file.read_text("utf-8") for file in CHART.rglob("*.yaml")]
    named = {name for text in texts for name in re.findall(r"\bTOCSIN_[A-Z_]+\b", text)}
    assert named <= set(defaults())
    assert len(named) > 5


def test_its_alerts_are_those_of_prometheus() -> None:
    assert (CHART / "alerts.yml").read_bytes() == (ROOT / "deploy/prometheus/alerts.yml").read_bytes()


def test_its_version_is_the_programs() -> None:
    from tocsin import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


# The long form: with Helm itself, which is built from its source where it is not there.


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = shutil.which("helm")
    if found:
        return found
    assert shutil.which("go"), "Neither helm nor go: install one of them."
    folder = tmp_path_factory.mktemp("helm")
    subprocess.run(["go", "install", HELM], env=os.environ | {"GOBIN": str(folder)}, check=True, timeout=3000)
    return str(folder / "helm")


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("validate")
    venv.create(folder, with_pip=True)
    lock = ROOT / "requirements/deploy.txt"
    subprocess.run([folder / "bin/pip", "install", "-q", "--require-hashes", "-r", lock], check=True, timeout=600)
    return str(folder / "bin/kubernetes-validate")


@pytest.mark.proof
@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("file", SETS, ids=lambda file: str(file.stem))
def test_kubernetes_takes_what_it_makes(
    file: Path, version: str, helm: str, validate: str, tmp_path: Path
) -> None:  # S4-18
    subprocess.run([helm, "lint", CHART, "-f", file, "--strict", "--kube-version", version], check=True)
    command = [helm, "template", "bell", str(CHART), "-n", "alerts", "-f", str(file), "--kube-version", version]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    objects = [one for one in yaml.safe_load_all(made) if one]
    assert {one["kind"] for one in objects} == KINDS[file.stem]
    for pod in (one["spec"]["template"]["spec"] for one in objects if "template" in one.get("spec", {})):
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(made)
    short = version.rpartition(".")[0]
    command = [validate, "--strict", "--no-warn", "-k", short, str(rendered)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
