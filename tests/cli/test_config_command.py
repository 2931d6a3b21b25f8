"""`tocsin config`: what a server has in files, and back."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, Done
from tests.harness import Running
from tocsin.model.yaml_text import File

pytestmark = pytest.mark.anyio

CONFIG = """\
endpoints:
  - name: on-call
    provider_type: webhook
    webhook_url: env:ON_CALL_URL
    headers: {X-Key: env:ON_CALL_KEY}
    settings: {format: simple}
  - name: ops
    provider_type: webhook
    webhook_url: https://example.com/ops
    description: the operations team
    enabled_events: [endpoint.*]
rules:
  - name: failures
    event_types: [run.failed]
    labels: {env: prod}
    webhook_endpoint_ids: [on-call, ops]
    changes: {renotify_s: 3600}
    mute: [{start: 22:00, end: 06:00}]
  - name: slow
    pipelines: [etl/*]
    webhook_endpoint_id: ops
    watch: {exceeded_s: 1800}
    retry: {max_attempts: 3}
    rate_limit: {count: 5, per_s: 60}
silences:
  - reason: weekly backfill
    matchers: [{field: pipeline, value: backfill}]
    hours: [{start: 02:00, end: 04:00, weekdays: [6], time_zone: Europe/Berlin}]
    comment: every Sunday
pipelines:
  etl/orders:
    notifications:
      - {webhook_id: on-call, events: [run.succeeded], group: {by: [pipeline]}}
      - {webhook_id: ops, condition: data.rows > 10}
preferences:
  ana@example.com:
    slack_enabled: false
    categories: {experiment_lifecycle: {email: false}}
    quiet_hours: [{start: 20:00, end: 08:00, time_zone: Europe/Berlin}]
"""
ENVIRONMENT = {"ON_CALL_URL": "https://example.com/on-call", "ON_CALL_KEY": "k3y-of-the-header"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "tocsin.yaml"
    found.write_text(CONFIG, "utf-8")
    return found


def edited(file: Path, old: str, new: str) -> str:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    return str(file)


async def applied(command: Command, file: Path, *words: str, **environment: str) -> Done:
    done = await command("config", "apply", str(file), *words, **(ENVIRONMENT | environment))
    assert (done.code, done.err) == (0, "")
    return done


async def planned(command: Command, file: Path, *words: str, **environment: str) -> Done:
    done = await command("config", "plan", str(file), *words, **(ENVIRONMENT | environment))
    assert done.code == 0, done.err
    return done


async def everything(tocsin: Running) -> dict[str, Any]:
    found: dict[str, Any] = (await tocsin.client.get("/v1/config")).ok()
    return found


def names(listed: list[dict[str, Any]], key: str = "name") -> list[str]:
    return [one[key] for one in listed]


async def test_a_server_gets_what_the_file_says_once(tocsin: Running, command: Command, file: Path) -> None:
    plan = await planned(command, file)
    assert plan.out == (
        "+ endpoint on-call\n+ endpoint ops\n"
        "+ rule failures\n    last 0 events: 0 → 0 notifications\n"
        "+ rule slow\n    last 0 events: 0 → 0 notifications\n"
        "+ silence weekly backfill\n+ pipeline etl/orders\n+ preferences of ana@example.com\n"
        "7 to create; last 0 events: 0 → 0 notifications\n"
    )
    assert (await everything(tocsin))["endpoints"] == []
    done = await applied(command, file)
    assert done.out == plan.out + "7 made.\n"
    found = await everything(tocsin)
    assert names(found["endpoints"]) == ["on-call", "ops"]
    assert found["endpoints"][0]["settings"]["format"] == "simple"
    assert names(found["rules"]) == ["failures", "slow"]
    assert found["rules"][0]["webhook_endpoint_ids"] == [one["id"] for one in found["endpoints"]]
    assert found["rules"][0]["changes"] == {"renotify_s": 3600.0}
    assert names(found["silences"], "reason") == ["weekly backfill"]
    assert [one["events"] for one in found["pipelines"]["etl/orders"]] == [["run.succeeded"], []]
    assert found["preferences"]["ana@example.com"]["slack_enabled"] is False
    for words in (("plan",), ("plan", "--check"), ("plan", "--prune"), ("apply",), ("apply", "--prune")):
        again = await command("config", words[0], str(file), *words[1:], **ENVIRONMENT)
        assert (again.code, again.out, again.err) == (0, "Nothing to do.\n", "")
    assert await everything(tocsin) | {"at": ""} == found | {"at": ""}


async def test_what_is_exported_is_what_was_applied(tocsin: Running, command: Command, file: Path) -> None:
    await applied(command, file)
    before = await everything(tocsin)
    done = await command("config", "export")
    assert (done.code, done.err) == (0, "")
    for secret in (*ENVIRONMENT.values(), "https://example.com"):
        assert secret not in done.out
    exported = File("export", done.out).value
    assert exported["endpoints"][0]["webhook_url"] == "env:ON_CALL_WEBHOOK_URL"
    assert exported["endpoints"][0]["headers"] == {"X-Key": "env:ON_CALL_X_KEY"}
    assert exported["rules"][0] == {
        "name": "failures",
        "event_types": ["run.failed"],
        "labels": {"env": "prod"},
        "webhook_endpoint_ids": ["on-call", "ops"],
        "changes": {"renotify_s": 3600.0},
        "mute": [{"start": "22:00", "end": "06:00"}],
    }
    file.write_text(done.out, "utf-8")
    plan = await command("config", "plan", str(file), "--prune")
    assert plan.out == "Nothing to do.\n"
    assert plan.err.count("is not set: what is there stays") == 3
    (await tocsin.client.delete(f"/v1/webhooks/{before['endpoints'][1]['id']}")).ok(204)
    again = await command("config", "plan", str(file))
    assert again.code == 2
    assert "endpoints[1].webhook_url: expected a variable OPS_WEBHOOK_URL in the environment, found none" in again.err


async def test_a_change_is_shown_field_by_field(tocsin: Running, command: Command, file: Path) -> None:
    await applied(command, file)
    edited(file, "labels: {env: prod}", "labels: {env: test}\n    condition: data.rows > 10")
    edited(file, "the operations team", "all of us")
    edited(file, "settings: {format: simple}", "settings: {format: cloudevents}")
    edited(file, "comment: every Sunday", "comment: on Sundays")
    edited(file, "email: false", "email: true")
    edited(file, "condition: data.rows > 10}", "condition: data.rows > 11}")
    plan = await planned(command, file)
    assert plan.out.splitlines()[:13] == [
        "~ endpoint on-call",
        '    settings.format: "simple" → "cloudevents"',
        "~ endpoint ops",
        '    description: "the operations team" → "all of us"',
        "~ rule failures",
        '    labels: {"env": "prod"} → {"env": "test"}',
        '    condition: "" → "data.rows > 10"',
        "    last 0 events: 0 → 0 notifications",
        "~ silence weekly backfill",
        '    comment: "every Sunday" → "on Sundays"',
        "~ pipeline etl/orders",
        plan.out.splitlines()[11],
        "~ preferences of ana@example.com",
    ]
    assert "    categories.experiment_lifecycle.email: false → true" in plan.out
    assert (await command("config", "plan", str(file), "--check", **ENVIRONMENT)).code == 1
    as_json = (await planned(command, file, "-o", "json")).json[0]
    assert [(one["section"], one["action"]) for one in as_json["changes"]] == [
        *[("endpoints", "change")] * 2, ("rules", "change"), ("silences", "change"), ("pipelines", "change"),
        ("preferences", "change"),
    ]  # fmt: skip
    assert as_json["changes"][2]["fields"][1] == {"field": "condition", "before": "", "after": "data.rows > 10"}
    before = await everything(tocsin)
    await applied(command, file)
    after = await everything(tocsin)
    assert [one["id"] for one in before["rules"]] == [one["id"] for one in after["rules"]]
    assert after["rules"][0]["condition"] == "data.rows > 10"
    assert after["endpoints"][1]["description"] == "all of us"
    assert (await planned(command, file)).out == "Nothing to do.\n"


async def test_secrets_are_compared_and_never_shown(tocsin: Running, command: Command, file: Path) -> None:
    """Addresses with the same end are told apart, and so are headers, of which nothing is shown."""
    await applied(command, file)
    other = {"ON_CALL_URL": "https://other.example.com/on-call", "ON_CALL_KEY": "another-k3y"}
    done = await planned(command, file, **other)
    assert done.out.splitlines()[:3] == [
        "~ endpoint on-call",
        '    webhook_url: "…om/on-call" → "env:ON_CALL_URL"',
        '    headers: "***" → "***"',
    ]
    edited(file, "https://example.com/ops", "https://secret.example.com/ops")
    edited(file, "    settings: {format: simple}", f"    settings: {{format: simple}}\n    secret: {SECRET}")
    done = await applied(command, file, **other)
    assert '    webhook_url: "…le.com/ops" → "***"' in done.out
    for secret in (*other.values(), SECRET, "secret.example.com"):
        assert secret not in done.out
    assert (await planned(command, file, **other)).out == "Nothing to do.\n"


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def test_a_plan_plans_the_last_events_anew(tocsin: Running, command: Command, file: Path) -> None:
    file.write_text(
        "endpoints:\n  - {name: ops, provider_type: webhook, webhook_url: env:OPS}\n"
        "rules:\n  - {name: all, webhook_endpoint_ids: [ops]}\n",
        "utf-8",
    )
    hook = tocsin.receiver.hook("/ops")
    await applied(command, file, OPS=hook.url)
    for number in range(31):
        await tocsin.send(id=f"e{number}", pipeline=f"p{number % 9}", run_id=str(number))
    await tocsin.settle()
    hook.expect(31)
    edited(file, "[ops]}", "[ops], changes: {}}")
    done = await planned(command, file, OPS=hook.url)
    assert "    last 31 events: 31 → 9 notifications" in done.out
    assert done.out.splitlines()[-1] == "1 to change; last 31 events: 31 → 9 notifications"
    assert "last 10 events: 10 → 9 notifications" in (await planned(command, file, "--last", "10", OPS=hook.url)).out
    edited(file, "  - {name: all", "  - {name: new")
    done = await planned(command, file, "--prune", OPS=hook.url)
    assert done.out.splitlines() == [
        "+ rule new", "    last 31 events: 0 → 9 notifications", "- rule all",
        "    last 31 events: 31 → 0 notifications",
        "1 to create, 1 to delete; last 31 events: 31 → 9 notifications",
    ]  # fmt: skip


async def test_only_what_is_asked_for_is_deleted(tocsin: Running, command: Command, file: Path) -> None:
    await applied(command, file)
    file.write_text("rules:\n  - {name: slow, webhook_endpoint_ids: [ops]}\nsilences: []\n", "utf-8")
    without = await planned(command, file)
    assert "- " not in without.out
    done = await applied(command, file, "--prune")
    assert [line for line in done.out.splitlines() if line[0] == "-"] == [
        "- rule failures",
        "- silence weekly backfill",
    ]
    found = await everything(tocsin)
    assert names(found["rules"]) == ["slow"]
    assert found["rules"][0]["watch"] is None
    assert found["silences"] == []
    assert names(found["endpoints"]) == ["on-call", "ops"]
    assert list(found["pipelines"]) == ["etl/orders"]
    file.write_text("endpoints: []\npipelines: {}\nrules: []\n", "utf-8")
    await applied(command, file, "--prune")
    found = await everything(tocsin)
    assert (found["rules"], found["endpoints"], found["pipelines"]) == ([], [], {})


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("provider_type: webhook", "provider_type: pigeon", 3, "endpoints[0].provider_type: expected one of"),
        ("format: simple", "format: xml", 6, "endpoints[0].settings.format: expected"),
        ("https://example.com/ops", "ftp://x", 9, "endpoints[1].webhook_url: "),
        (
            "env:ON_CALL_URL",
            "env:NOT_SET",
            4,
            "endpoints[0].webhook_url: expected a variable NOT_SET in the environment",
        ),
        ("enabled_events: [endpoint.*]", "enabled_events: ['']", 11, "endpoints[1].enabled_events[0]: expected"),
        (
            "[on-call, ops]\n    changes",
            "[on-call, opps]\n    changes",
            16,
            "rules[0].webhook_endpoint_ids[1]: expected",
        ),
        ("renotify_s: 3600", "renotify_s: often", 17, "rules[0].changes.renotify_s: expected"),
        ("weekdays: [6]", "weekdays: [7]", 28, "silences[0].hours[0].weekdays[0]: expected"),
        ("    hours:", "    duration_s: 60\n    hours:", 28, "silences[0].duration_s: expected ends_at"),
        ("webhook_id: on-call", "webhook_id: nobody", 33, "pipelines.etl/orders.notifications[0].webhook_id: expected"),
        ("slack_enabled: false", "slack_enabled: maybe", 37, "preferences.ana@example.com.slack_enabled: expected"),
    ],
)
async def test_a_mistake_is_named_by_line_and_field(
    tocsin: Running, command: Command, file: Path, old: str, new: str, line: int, said: str
) -> None:
    edited(file, old, new)
    for what in ("plan", "apply"):
        done = await command("config", what, str(file), **ENVIRONMENT)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"tocsin: {file}:{line}: {said}")
    found = await everything(tocsin)
    assert (found["endpoints"], found["rules"], found["silences"]) == ([], [], [])


async def test_what_the_server_refuses_at_the_end_is_named_too(tocsin: Running, command: Command, file: Path) -> None:
    """What only the server knows: which categories there are. What was made before stays made, and it is said."""
    edited(file, "experiment_lifecycle", "weather")
    done = await command("config", "apply", str(file), **ENVIRONMENT)
    assert done.code == 2
    assert f"{file}:38: preferences.ana@example.com.categories: expected one of safety_rollback" in done.err
    assert done.err.endswith("6 of 7 changes were made.\n")


async def test_a_name_that_is_there_twice_is_no_name(tocsin: Running, command: Command, file: Path) -> None:
    for _ in range(2):
        await tocsin.webhook("https://example.com/hook", name="ops")
    done = await command("config", "plan", str(file), **ENVIRONMENT)
    assert done.code == 2
    assert f"{file}:7: endpoints[1].name: the server has two called “ops”" in done.err
    export = await command("config", "export")
    assert (export.code, export.out) == (2, "")
    assert "Two endpoints are called “ops”" in export.err


async def test_a_silence_that_is_over_is_not_made_anew(tocsin: Running, command: Command, file: Path) -> None:
    file.write_text(
        "silences:\n  - {reason: once, matchers: [{field: pipeline, value: a}], ends_at: 2020-01-01T00:00:00Z}\n",
        "utf-8",
    )
    done = await command("config", "apply", str(file))
    assert (done.code, done.out) == (0, "Nothing to do.\n")
    assert done.err == f"note: {file}:2: silences[0].ends_at: it is over, and is not made anew\n"


async def test_a_viewer_may_look_and_a_developer_may_not_set_preferences(
    tocsin: Running, command: Command, file: Path
) -> None:
    viewer, developer = await tocsin.token("viewer"), await tocsin.token("developer", user="bob")
    assert (await command("config", "export", TOCSIN_TOKEN=viewer)).code == 0
    assert (await command("config", "apply", str(file), TOCSIN_TOKEN=viewer, **ENVIRONMENT)).code == 3
    done = await command("config", "apply", str(file), TOCSIN_TOKEN=developer, **ENVIRONMENT)
    assert done.code == 2
    assert "preferences.ana@example.com: only an admin's token may set everybody's preferences" in done.err


async def test_a_reference_to_a_secret_of_the_server_is_sent_as_it_is(
    tocsin: Running, command: Command, file: Path
) -> None:
    edited(file, "env:ON_CALL_URL", "secret:ON_CALL_URL")
    done = await command("config", "plan", str(file), **ENVIRONMENT)
    assert done.code == 2
    assert f"{file}:4: endpoints[0].webhook_url: " in done.err
