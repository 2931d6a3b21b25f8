"""Flows as people write them, and what is said where one cannot be read."""

import pytest

from tests.flows.seeds import FLOWS
from tocsin.flows.durations import seconds
from tocsin.flows.model import opaque, tasks_of
from tocsin.flows.reading import read_flow
from tocsin.model.yaml_text import Wrong


def test_the_three_flows_of_the_document_are_read() -> None:  # S2-01
    flows = [read_flow(f"{number}.yml", text) for number, text in enumerate(FLOWS)]
    assert [flow.name for flow in flows] == [
        "dev.slack-simple-message", "dev.slack-error-message", "dev.slack-generic", "dev.failing-task",
    ]  # fmt: skip
    kinds = [[task.kind for task in tasks_of(flow)] for flow in flows]
    assert kinds == [
        ["slack.send"],
        ["slack.send", "python.script", "slack.send"],
        ["slack.execution"],
        ["python.script"],
    ]
    assert [trigger.kind for trigger in flows[2].triggers] == ["flow"]
    assert not any(opaque(flow) for flow in flows)


NESTED = """
id: nested
namespace: company.team
labels: {team: data}
pluginDefaults:
  - type: io.kestra.plugin.slack.notifications.SlackIncomingWebhook
    values: {url: "{{ secret('HOOK') }}"}
inputs:
  - {id: day, type: DATE, required: false}
  - {id: region, type: SELECT, values: [eu, us], defaults: eu}
sla:
  - {id: late, type: MAX_DURATION, duration: PT2H, behavior: NONE, labels: {sla: miss}}
tasks:
  - id: choose
    type: io.kestra.plugin.core.flow.Switch
    value: "{{ inputs.region }}"
    cases:
      eu:
        - {id: a, type: io.kestra.plugin.core.log.Log, message: Hello}
    defaults:
      - {id: b, type: io.kestra.plugin.gcp.bigquery.Query, sql: select 1}
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [1, 2]
    tasks:
      - id: c
        type: io.kestra.plugin.core.log.Log
        message: "{{ taskrun.value }}"
        retry: {type: exponential, interval: PT1S, maxInterval: PT10S, maxAttempts: 3}
        timeout: PT5M
    errors:
      - {id: d, type: io.kestra.plugin.notifications.slack.SlackIncomingWebhook, payload: "{}"}
"""


def test_what_is_nested_labelled_and_given_beforehand() -> None:
    flow = read_flow("nested.yml", NESTED)
    tasks = {task.id: task for task in tasks_of(flow)}
    assert list(tasks) == ["choose", "a", "b", "each", "c", "d"]
    assert [task.id for task in opaque(flow)] == ["b"]
    assert tasks["d"].given == {"url": "{{ secret('HOOK') }}", "payload": "{}"}
    retry = tasks["c"].retry
    assert retry is not None
    assert (retry.kind, retry.interval_s, retry.most_s, retry.attempts) == ("exponential", 1, 10, 3)
    assert (flow.inputs[1].default, flow.inputs[0].required, flow.sla[0].duration_s) == ("eu", False, 7200)
    assert tasks["c"].line == 26


@pytest.mark.parametrize(
    "text, said",
    [
        ("id: a\nnamespace: dev", "x.yml:1: tasks: a flow needs at least one task"),
        ("id: a\ntasks: []", "x.yml:1: namespace: it is missing"),
        ("id: a b\nnamespace: dev\ntasks: []", "x.yml:1: id: expected an id of letters"),
        ("id: a\nnamespace: dev\ntask: []", "x.yml:3: task: there is no such field"),
        ("id: a\nnamespace: dev\ntasks:\n  - id: b\n    type: io.kestra.plugin.core.log.Log\n    message: '{{ oh'",
         "x.yml:6: tasks[0].message: `{{` is never closed"),
        ("id: a\nnamespace: dev\ntasks:\n  - id: b\n  - id: b", "x.yml:4: tasks[0].type: it is missing"),
        ("id: a\nnamespace: dev\ntasks:\n  - {id: b, type: x.Y}\n  - {id: b, type: x.Y}", "x.yml:5: id: 'b' is the id"),
        ("id: a\nnamespace: dev\ntasks:\n  - {id: b, type: x.Y, retry: {interval: soon}}", "expected a duration"),
        ("[1, 2]", "x.yml:1: expected fields with values"),
        ("a: [", "no YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_line(text: str, said: str) -> None:
    with pytest.raises(Wrong) as wrong:
        read_flow("x.yml", text)
    assert said in str(wrong.value)


@pytest.mark.parametrize(
    "text, found",
    [("PT5M", 300), ("P1DT2H", 93_600), ("PT0.5S", 0.5), ("P2W", 1_209_600), ("-PT5S", -5), ("5m", None), ("P", None)],
)
def test_durations(text: str, found: float | None) -> None:
    assert seconds(text) == found
