"""The module: OpenTofu takes it and plans what it says, with providers that are schemas and nothing behind them."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.deploy.debian import need, run
from tests.deploy.test_helm import SCHEMA, VALUES, merged

MODULE = Path(__file__).parents[2] / "deploy/terraform"
PROVIDERS = Path(__file__).with_name("providers")
TOFU = "github.com/opentofu/opentofu@v1.10.6"
SOURCES = ("digitalocean/digitalocean", "hashicorp/helm", "hashicorp/kubernetes", "hashicorp/random")
GIVEN = ("-var", "public_url=https://tocsin.example.com", "-var", 'image={repository="registry/tocsin", tag="0.1.0"}')
WITH_A_DATABASE = {
    "digitalocean_database_cluster", "digitalocean_database_db", "digitalocean_database_user", "helm_release",
    "kubernetes_namespace_v1", "kubernetes_secret_v1", "random_bytes",
}  # fmt: skip
WITHOUT = {name for name in WITH_A_DATABASE if not name.startswith("digitalocean")}


@pytest.fixture(scope="module")
def tofu(tmp_path_factory: pytest.TempPathFactory) -> str:
    """OpenTofu, built from its source where it is not there: its module cannot be installed by its path."""
    if found := shutil.which("tofu"):
        return found
    need("go")
    folder = tmp_path_factory.mktemp("tofu")
    source = Path(json.loads(run("go", "mod", "download", "-json", TOFU, cwd=folder))["Dir"])
    run("cp", "-r", "--no-preserve=mode", source, folder / "source")
    run("go", "build", "-o", folder / "tofu", "./cmd/tofu", cwd=folder / "source", within_s=3600)
    return str(folder / "tofu")


class Module:
    def __init__(self, tofu: str, folder: Path) -> None:
        need("go")
        self.tofu = tofu
        self.folder = folder / "terraform"
        shutil.copytree(MODULE, self.folder)
        first, *others = [folder / f"terraform-provider-{source.split('/')[1]}" for source in SOURCES]
        run("go", "build", "-o", first, ".", cwd=PROVIDERS)
        for other in others:
            shutil.copy(first, other)
        overrides = "\n".join(f'"{source}" = "{folder}"' for source in SOURCES)
        (folder / "tofu.rc").write_text(
            f"provider_installation {{\ndev_overrides {{\n{overrides}\n}}\ndirect {{}}\n}}\n"
        )
        self.environment = os.environ | {"TF_CLI_CONFIG_FILE": str(folder / "tofu.rc"), "CHECKPOINT_DISABLE": "1"}

    def run(self, *command: str) -> str:
        return run(self.tofu, *command, cwd=self.folder, env=self.environment)

    def told(self, *given: str) -> str:
        """The plan as people read it."""
        return self.run("plan", "-input=false", "-refresh=false", "-no-color", *GIVEN, *given)

    def plan(self, *given: str) -> dict[str, Any]:
        self.run("plan", "-input=false", "-refresh=false", "-out=plan", *GIVEN, *given)
        found: dict[str, Any] = json.loads(self.run("show", "-json", "plan"))
        return found


@pytest.fixture(scope="module")
def module(tofu: str, tmp_path_factory: pytest.TempPathFactory) -> Module:
    return Module(tofu, tmp_path_factory.mktemp("module"))


def values_of_the_chart(plan: dict[str, Any]) -> dict[str, Any]:
    (release,) = [one for one in plan["resource_changes"] if one["type"] == "helm_release"]
    found: dict[str, Any] = VALUES
    for text in release["change"]["after"]["values"]:
        found = merged(found, yaml.safe_load(text))
    return found


@pytest.mark.proof
def test_opentofu_takes_it(module: Module) -> None:
    assert json.loads(module.run("validate", "-json"))["error_count"] == 0
    module.run("fmt", "-check", "-diff")


@pytest.mark.proof
def test_a_database_is_planned_where_none_is_given(module: Module) -> None:
    planned = {one["type"] for one in module.plan()["resource_changes"]}
    assert planned == WITH_A_DATABASE
    planned = {one["type"] for one in module.plan("-var", "cluster_id=one")["resource_changes"]}
    assert planned == WITH_A_DATABASE | {"digitalocean_database_firewall"}


@pytest.mark.proof
def test_the_page_shows_the_plan(module: Module) -> None:
    told = module.told()
    lines = re.findall(r"^  # (\S+) will be created$", told, re.MULTILINE)
    (sum_,) = re.findall(r"^Plan: .*$", told, re.MULTILINE)
    page = (Path(__file__).parents[2] / "docs/install.md").read_text("utf-8")
    assert "```text\n" + "\n".join(lines) + f"\n\n{sum_}\n```\n" in page


@pytest.mark.proof
@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("postgresql://u:p@db.example.com/tocsin", 5432),
        ("postgresql://u:p@db.example.com:6432/tocsin?sslmode=require", 6432),
        ("postgresql://u:p@[fd00::1]/tocsin", 5432),
        ("postgresql://u:p@[fd00::1]:6432/tocsin", 6432),
    ],
)
def test_a_database_that_is_given_is_used_and_reached(module: Module, address: str, port: int) -> None:
    plan = module.plan("-var", f"database_url={address}")
    assert {one["type"] for one in plan["resource_changes"]} == WITHOUT
    values = values_of_the_chart(plan)
    jsonschema.validate(values, SCHEMA)
    assert values["networkPolicy"]["egress"]["database"] == [{"ports": [{"port": port, "protocol": "TCP"}]}]
    assert values["secret"]["existing"] == "tocsin-settings"
    (secret,) = [one for one in plan["resource_changes"] if one["type"] == "kubernetes_secret_v1"]
    assert secret["change"]["after_sensitive"]["data"] is True
    shown = module.run("show", "-no-color", "plan")
    assert address not in shown


@pytest.mark.proof
@pytest.mark.parametrize("wrong", ["public_url=tocsin.example.com", "name=Tocsin!"])
def test_what_cannot_be_is_refused(module: Module, wrong: str) -> None:
    with pytest.raises(AssertionError, match="Invalid value for variable"):
        module.plan("-var", wrong)
