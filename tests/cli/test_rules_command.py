"""`tocsin rules`: rules are tested without a server, and previewed with one."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command, Invoke
from tests.harness import Running

RULES = """\
endpoints:
  - {name: on-call, provider_type: slack}
  - {name: ops, provider_type: webhook}
rules:
  - name: failures
    event_types: [run.failed, run.succeeded]
    webhook_endpoint_ids: [on-call]
    changes: {renotify_s: 3600}
  - name: slow
    event_types: [run.exceeded]
    pipelines: [etl/*]
    webhook_endpoint_id: ops
    watch: {exceeded_s: 1800}
silences:
  - reason: backfill
    matchers: [{field: pipeline, value: backfill}]
    duration_s: 3600
"""
TESTS = """\
tests:
  - name: one incident, one alert
    steps:
      - event: {type: run.failed, pipeline: etl/orders, run_id: r1}
        notified: [on-call]
      - after: 10m
        event: {type: run.failed, pipeline: etl/orders, run_id: r2}
        notified: []
        suppressed: still failing
      - after: 2h
        notified: [on-call, on-call]
      - event: {type: run.succeeded, pipeline: etl/orders, run_id: r3}
        notified: [on-call]
  - name: a run that hangs
    at: 2026-11-21T22:00:00+01:00
    steps:
      - event: {type: run.started, pipeline: etl/orders, run_id: r1}
      - after: 29.5m
        notified: []
      - after: 31s
        notified: [ops]
  - name: silenced
    steps:
      - event: {type: run.failed, pipeline: backfill, run_id: r1}
        notified: []
        suppressed: backfill
"""


def written(tmp_path: Path, text: str, name: str = "rules.yaml") -> str:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    return str(file)


def test_what_comes_of_the_events_is_what_was_expected(invoke: Invoke, tmp_path: Path) -> None:
    # case 48
    done = invoke("rules", "test", written(tmp_path, RULES + TESTS), "-o", "json")
    assert (done.code, done.err) == (0, "")
    assert [(row["test"], row["step"], row["result"]) for row in done.json] == [
        *[("one incident, one alert", step, "ok") for step in (1, 2, 3, 4)],
        ("a run that hangs", 1, ""),
        *[("a run that hangs", step, "ok") for step in (2, 3)],
        ("silenced", 1, "ok"),
    ]
    assert done.json[1]["found"].startswith("notified: nobody; suppressed: still failing since 2026-01-05 12:00 UTC")
    assert (done.json[1]["at"], done.json[6]["at"]) == ("+10m 00s", "+30m 01s")


def test_files_are_read_as_one(invoke: Invoke, tmp_path: Path) -> None:
    rules, tests = written(tmp_path, RULES), written(tmp_path, TESTS, "tests.yaml")
    done = invoke("rules", "test", rules, tests)
    assert done.code == 0
    assert done.out.splitlines()[0] == "test\tstep\tat\tevent\texpected\tfound\tresult"
    assert len(done.out.splitlines()) == 9


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("notified: [on-call, on-call]", "notified: [on-call]"),
        ("suppressed: still failing", "suppressed: because it is Monday"),
        ("        notified: [ops]", "        notified: [ops, on-call]"),
        ("renotify_s: 3600", "renotify_s: 36000"),
    ],
)
def test_anything_else_ends_with_1(invoke: Invoke, tmp_path: Path, old: str, new: str) -> None:
    # case 48
    assert old in RULES + TESTS
    done = invoke("rules", "test", written(tmp_path, (RULES + TESTS).replace(old, new)), "-o", "json")
    assert done.code == 1
    assert [row["result"] for row in done.json].count("FAILED") == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("rules:", "rulez:", 4, "rulez: unknown: expected one of endpoints, rules"),
        ("    changes:", "    chagnes:", 8, "rules[0].chagnes: expected a field of this object"),
        ("renotify_s: 3600", "renotify_s: 1", 8, "rules[0].changes.renotify_s: expected at least 60 seconds, found 1"),
        ("[on-call]\n    changes", "[oncall]\n    changes", 7, "rules[0].webhook_endpoint_ids[0]: expected the name"),
        ("provider_type: slack", "provider_type: pigeon", 2, "endpoints[0].provider_type: expected one of"),
        ("field: pipeline", "field: colour", 16, "silences[0].matchers[0].field: expected pipeline"),
        ("after: 10m", "after: ten minutes", 23, "tests[0].steps[1].after: expected a time span"),
        ("type: run.started", "typ: run.started", 34, "tests[1].steps[0].event.typ: expected one of type, id"),
        ("notified: [ops]", "notified: [opps]", 38, "tests[1].steps[2].notified: expected an endpoint"),
        ("  - name: slow", "  - name: failures", 9, "rules[1]: “failures” is there already, at"),
        ("  - name: slow", "  - nom: slow", 9, "rules[1].name: expected text: rules are known by it"),
        ("tests:", "tests: 1\nx:", 18, "tests: expected a list"),
        ("    steps:", "    steps: []\n    x:", 20, "tests[0].steps: "),
    ],
)
def test_a_mistake_is_named_by_line_and_field(
    invoke: Invoke, tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    text = RULES + TESTS
    assert old in text
    file = written(tmp_path, text.replace(old, new, 1))
    done = invoke("rules", "test", file)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"tocsin: {file}:{line}: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "no YAML"),
        ("rules: []\nrules: []", ":2: rules: it stands there twice"),
        ("- rules", ":1: expected one or more of endpoints"),
        ("rules: [1]", ":1: rules[0]: expected fields with values"),
        ("a: &a [*a]", "an alias that holds itself"),
        ("rules: !python/object:os.system x", "means nothing here"),
        ("rules:", "there are no tests"),
        ("{[a]: 1}", "a key must be text"),
        ("a: \x00", "no YAML"),
    ],
)
def test_what_is_no_such_file(invoke: Invoke, tmp_path: Path, text: str, said: str) -> None:
    done = invoke("rules", "test", written(tmp_path, text))
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_file_that_is_not_there(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("rules", "test", str(tmp_path / "none.yaml"))
    assert (done.code, done.err) == (2, f"tocsin: {tmp_path}/none.yaml: No such file or directory\n")
    (tmp_path / "latin.yaml").write_bytes(b"rules: \xff")
    assert "it is not UTF-8" in invoke("rules", "test", str(tmp_path / "latin.yaml")).err


def test_words_that_yaml_could_mistake(invoke: Invoke, tmp_path: Path) -> None:
    """22:00 is a time of day and no number, `no` a country, `on` a word."""
    text = """\
rules:
  - name: on
    webhook_endpoint_ids: [no]
    labels: {country: no}
    mute: [{start: 22:00, end: 06:00, time_zone: Europe/Oslo}]
tests:
  - name: by day
    steps:
      - {event: {type: run.failed, labels: {country: no}}, notified: [no]}
      - {after: 12h, event: {type: run.failed, labels: {country: no}}, notified: [], suppressed: muted}
"""
    done = invoke("rules", "test", written(tmp_path, text))
    assert (done.code, done.err) == (0, "")


def test_what_is_said_of_a_pipeline_counts(invoke: Invoke, tmp_path: Path) -> None:
    text = """\
pipelines:
  etl/orders:
    notifications:
      - {webhook_id: ops, events: [run.succeeded], condition: data.rows > 10}
tests:
  - name: many rows
    steps:
      - {event: {type: run.succeeded, pipeline: etl/orders, data: {rows: 12}}, notified: [ops]}
      - {event: {type: run.succeeded, pipeline: etl/items, data: {rows: 12}}, notified: []}
      - {event: {type: run.succeeded, pipeline: etl/orders, data: {rows: 9}}, notified: []}
"""
    assert invoke("rules", "test", written(tmp_path, text)).code == 0
    file = written(tmp_path, text.replace("data.rows > 10", "data.rows >"))
    done = invoke("rules", "test", file)
    assert done.code == 2
    assert done.err.startswith(f"tocsin: {file}:4: pipelines.etl/orders.notifications[0].condition: ")
    endpoints = "endpoints: [{name: on-call, provider_type: slack}]\n"
    done = invoke("rules", "test", written(tmp_path, endpoints + text))
    assert ".notifications[0].webhook_id: expected the name of an endpoint: on-call, found 'ops'" in done.err


# Previews, with a server.


@pytest.mark.anyio
async def test_a_preview_of_a_saved_rule(tocsin: Running, command: Command) -> None:
    webhook = await tocsin.webhook("https://example.com/hook", name="on-call")
    rule = await tocsin.rule(webhook, name="failures", is_active=False)
    await tocsin.send(id="e1", pipeline="etl")
    done = await command("rules", "preview", rule["id"])
    first, head, line = done.out.splitlines()
    assert first == ("failures: 1 match, 0 of them without a message of their own; last 1 events: 0 → 1 notifications")
    assert head.split("\t") == ["time", "event_id", "event_type", "pipeline", "notifies", "reason"]
    assert line.split("\t")[1:] == ["e1", "run.failed", "etl", "on-call", ""]


@pytest.mark.anyio
async def test_a_preview_of_a_file(tocsin: Running, command: Command, tmp_path: Path) -> None:
    """A rule of the file is compared with the saved one of its name, if there is one."""
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, name="on-call")
    await tocsin.rule(webhook, name="failures")
    for number in range(3):
        await tocsin.send(id=f"e{number}", pipeline="etl", run_id=str(number))
    await tocsin.settle()
    hook.expect(3)
    text = """\
rules:
  - {name: failures, webhook_endpoint_ids: [on-call], changes: {}}
  - {name: new, webhook_endpoint_ids: [on-call], condition: "false"}
"""
    done = await command("rules", "preview", written(tmp_path, text), "--last", "2", "-o", "json")
    assert [(one["rule"], one["change"]) for one in done.json] == [
        ("failures", "last 2 events: 2 → 1 notifications"),
        ("new", "last 2 events: 2 → 2 notifications"),
    ]
    wrong = await command("rules", "preview", written(tmp_path, text.replace("[on-call], changes", "[ops], changes")))
    assert wrong.code == 2
    assert ":2: rules[0].webhook_endpoint_ids[0]: expected the name of an endpoint: on-call, found 'ops'" in wrong.err
    assert (await command("rules", "preview", written(tmp_path, "rules: []"))).code == 2
