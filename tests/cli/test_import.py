"""`tocsin import`: what becomes of others' configurations, and that a server takes it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.conftest import Invoke
from tests.rules.test_condition import an_event
from tocsin.cli.config_file import load
from tocsin.model.rule import Rule
from tocsin.providers import PROVIDERS
from tocsin.rules.condition import activation, compile_condition
from tocsin.web.api.alert_rules import RuleIn, checked_rule, rule_of

HERE = Path(__file__).parent / "imports"
INPUTS = ("alertmanager.yml", "apprise.txt", "apprise.yml", "checks.json", "slack-webhooks.env", "flows")


def imported(invoke: Invoke, name: str, *options: str) -> tuple[str, str]:
    done = invoke("import", str(HERE / name), *options)
    assert done.code == 0, done.err
    return done.out, done.err.replace(str(HERE), "…")


@pytest.mark.parametrize("name", INPUTS)
def test_what_becomes_of_it(invoke: Invoke, name: str, request: pytest.FixtureRequest) -> None:
    configuration, said = imported(invoke, name)
    golden = HERE / f"{name}.golden"
    text = f"{said}---\n{configuration}"
    if request.config.getoption("--update-golden"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8"), "make golden"


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "flows"])
def test_it_fits_what_the_api_takes(invoke: Invoke, name: str, tmp_path: Path) -> None:
    """Rules and settings are checked as the server does."""
    secrets = tmp_path / "secrets.env"
    configuration, _ = imported(invoke, name, "--secrets", str(secrets))
    assert secrets.stat().st_mode & 0o077 == 0
    values = dict(line.split("=", 1) for line in secrets.read_text().splitlines())
    for value in values.values():
        assert not value or value not in configuration
    file = tmp_path / "tocsin.yaml"
    file.write_text(configuration)
    sections: Any = load([str(file)])
    assert sections
    whole = msgspec.yaml.decode(configuration.encode())
    for endpoint in whole.get("endpoints", ()):
        filled = json.loads(refilled(json.dumps(endpoint), values))
        provider = PROVIDERS[filled["provider_type"]]
        msgspec.convert(filled.get("settings", {}), provider.settings_type, strict=False)
        if filled.get("webhook_url") and provider.check_address is not None:
            provider.check_address(filled["webhook_url"])
    for rule in whole.get("rules", ()):
        given = msgspec.convert(rule, RuleIn)
        made: Rule = rule_of(given, "rul_1", "default", "somebody", 0)
        checked_rule(made)


def refilled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f'"env:{name}"', json.dumps(value))
    return text


LABELS: tuple[dict[str, str], ...] = (
          {}, {"severity": "page", "env": "prod"}, {"team": "data"}, {"team": "data", "severity": "critical"},
          {"team": "data", "severity": "critical", "service": "batch-7"}, {"service": "web"}, {"service": "webs"},
          {"severity": "page", "env": "prod", "service": "api"},
)  # fmt: skip
EXPECTED = (
    {"everybody"}, {"on-call"}, {"data"}, {"on-call"}, {"data"}, {"web"}, {"everybody"}, {"on-call", "web"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "receivers"), list(zip(LABELS, EXPECTED, strict=True)), ids=[" ".join(one) or "none" for one in LABELS]
)
def test_an_alert_reaches_whom_its_route_reached(invoke: Invoke, labels: dict[str, str], receivers: set[str]) -> None:
    """As Alertmanager's own routing has it: the first route that fits, and the next one where it says continue."""
    configuration, _ = imported(invoke, "alertmanager.yml")
    rules = msgspec.yaml.decode(configuration.encode())["rules"]
    hit = set()
    for rule in rules:
        condition = rule.get("condition")
        if not condition or answers(condition, labels):
            hit.add(rule["name"].partition(":")[0].removesuffix(" 2"))
    assert hit == receivers


def answers(condition: str, labels: dict[str, str]) -> bool:
    return compile_condition(condition).evaluate(activation(an_event(labels=labels), None)).matched


def test_what_is_wrong_is_said(invoke: Invoke, tmp_path: Path) -> None:
    for name, text, said in (
        ("a.yml", "route: [", "no YAML"),
        ("b.yml", "nothing: here\n", "--from"),
        ("checks.json", '{"checks": 1}', "checks"),
    ):
        file = tmp_path / name
        file.write_text(text)
        kind = ("--from", "alertmanager") if name == "a.yml" else ()
        done = invoke("import", str(file), *kind)
        assert done.code == 2, name
        assert said in done.err
    assert invoke("import", str(tmp_path / "not-there")).code == 2
    assert invoke("import", str(HERE / "apprise.txt"), "--from", "pigeon").code == 2
