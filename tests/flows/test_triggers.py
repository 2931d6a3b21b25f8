"""What triggers wait for: conditions of every generation, states, and several runs in a window of time."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flows.seeds import FLOWS
from tocsin.flows.execution import Seen
from tocsin.flows.expression import ExpressionError
from tocsin.flows.model import Flow, Trigger
from tocsin.flows.reading import read_flow
from tocsin.flows.triggers import CHAIN, Changed, Unfit, check, fires, named
from tocsin.model.yaml_text import Wrong

NOW = int(dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC).timestamp() * 1000)  # a Saturday
HOUR = 3_600_000


def seen(state: str = "FAILED", flow_id: str = "orders", namespace: str = "etl", **rest: Any) -> Seen:
    return Seen("r1", namespace, flow_id, state, ended_ms=NOW, **rest)


def fired(fields: Mapping[str, Any], one: Seen, before: Sequence[Seen] = (), fired_ms: int = 0, **rest: Any) -> bool:
    trigger = Trigger("t", "io.kestra.plugin.core.trigger.Flow", "flow", 1, dict(fields))
    changed = Changed(one, "k", "test", f"{one.namespace}.{one.flow_id}", at_ms=NOW, **rest)
    flow = Flow("watcher", "dev", (), triggers=(trigger,))
    since = [(other.ended_ms or 0, other) for other in before]
    return fires(trigger, flow, changed, lambda ms: [other for at, other in since if at >= ms], fired_ms)


def condition(name: str, **fields: Any) -> dict[str, Any]:
    return {"conditions": [{"type": f"io.kestra.plugin.core.condition.{name}"} | fields]}


@pytest.mark.parametrize(
    "type_",
    [
        "io.kestra.core.models.conditions.types.ExecutionStatusCondition",
        "io.kestra.plugin.core.condition.ExecutionStatusCondition",
        "io.kestra.plugin.core.condition.ExecutionStatus",
    ],
)
def test_every_generation_of_the_status_condition(type_: str) -> None:  # S2-05
    fields = {"conditions": [{"type": type_, "in": ["FAILED", "WARNING"]}]}
    assert [state for state in ("FAILED", "WARNING", "SUCCESS", "RUNNING") if fired(fields, seen(state))] == [
        "FAILED",
        "WARNING",
    ]


def test_the_third_flow_of_the_document_waits_for_failures_and_warnings() -> None:
    (trigger,) = read_flow("f.yml", FLOWS[2]).triggers
    assert trigger.kind == "flow"
    assert fired(trigger.given, seen("FAILED"))
    assert not fired(trigger.given, seen("SUCCESS"))


def test_without_conditions_every_end_counts() -> None:
    states = ("CREATED", "RUNNING", "PAUSED", "SUCCESS", "FAILED", "KILLED")
    assert [state for state in states if fired({}, seen(state))] == ["SUCCESS", "FAILED", "KILLED"]


def test_states_that_are_named_count_alone() -> None:
    assert fired({"states": ["RUNNING"]}, seen("RUNNING"))
    assert not fired({"states": ["RUNNING"]}, seen("FAILED"))
    assert fired({"states": ["CANCELLED"]}, seen("KILLED"))


@pytest.mark.parametrize(
    ("fields", "holds"),
    [
        (condition("ExecutionStatus", notIn=["SUCCESS"]), True),
        (condition("ExecutionStatus", notIn=["FAILED"]), False),
        (condition("ExecutionNamespace", namespace="etl"), True),
        (condition("ExecutionNamespace", namespace="et", comparison="PREFIX"), True),
        (condition("ExecutionNamespace", namespace="et", prefix=True), True),
        (condition("ExecutionNamespace", namespace="tl", comparison="SUFFIX"), True),
        (condition("ExecutionNamespace", namespace="et"), False),
        (condition("ExecutionFlow", namespace="etl", flowId="orders"), True),
        (condition("ExecutionFlow", namespace="etl", flowId="other"), False),
        (condition("ExecutionLabels", labels={"env": "prod"}), True),
        (condition("ExecutionLabels", labels=[{"key": "env", "value": "dev"}]), False),
        (condition("Expression", expression="{{ labels.env == 'prod' }}"), True),
        (condition("VariableCondition", expression="{{ execution.state == 'SUCCESS' }}"), False),
        (condition("HasRetryAttempt", **{"in": ["FAILED"]}), True),
        (condition("HasRetryAttempt", **{"in": ["SUCCESS"]}), False),
        (condition("Not", conditions=[{"type": "x.ExecutionNamespace", "namespace": "dev"}]), True),
        (condition("Not", conditions=[{"type": "x.ExecutionNamespace", "namespace": "etl"}]), False),
        (condition("Or", conditions=[{"type": "x.Weekend"}, {"type": "x.DayWeek", "dayOfWeek": "MONDAY"}]), True),
        (condition("DayWeek", dayOfWeek="SATURDAY"), True),
        (condition("Weekend"), True),
        (condition("DayWeekInMonth", dayOfWeek="SATURDAY", dayInMonth="THIRD"), True),
        (condition("DayWeekInMonth", dayOfWeek="SATURDAY", dayInMonth="LAST"), False),
        (condition("TimeBetween", after="11:00:00Z", before="13:00:00Z"), True),
        (condition("TimeBetween", after="13:00:00Z"), False),
        (condition("TimeBetween", after="13:30:00+02:00", before="14:30:00+02:00"), True),
        (condition("DateTimeBetween", after="2026-11-21T00:00:00Z", before="2026-11-22T00:00:00Z"), True),
        (condition("DateTimeBetween", before="2026-11-20T00:00:00Z"), False),
        ({"when": "{{ execution.namespace == 'etl' }}"}, True),
        ({"when": "{{ execution.namespace == 'dev' }}"}, False),
    ],
)
def test_conditions(fields: dict[str, Any], holds: bool) -> None:
    one = seen(labels={"env": "prod"}, tasks=(("a", "SUCCESS"), ("b", "FAILED")), attempts=(1, 2))
    assert fired(fields, one) is holds


def test_a_flow_does_not_start_itself_and_no_chain_is_endless() -> None:
    assert not fired({}, seen("SUCCESS", "watcher", "dev"))
    assert fired({}, seen("SUCCESS", labels={CHAIN: "9"}))
    assert not fired({}, seen("SUCCESS", labels={CHAIN: "10"}))


TWO = {
    "preconditions": {
        "id": "both",
        "flows": [
            {"namespace": "etl", "flowId": "orders", "states": ["SUCCESS"]},
            {"namespace": "etl", "flowId": "users"},
        ],
    }
}


def test_several_runs_have_to_be_within_the_window() -> None:
    last = seen("SUCCESS")
    other = Seen("r0", "etl", "users", "SUCCESS", ended_ms=NOW - HOUR)
    assert not fired(TWO, last)
    assert fired(TWO, last, [other])
    assert not fired(TWO, last, [Seen("r0", "etl", "users", "FAILED", ended_ms=NOW - HOUR)])
    assert not fired(TWO, last, [Seen("r0", "etl", "users", "SUCCESS", ended_ms=NOW - 25 * HOUR)])
    assert not fired(TWO, last, [other], fired_ms=NOW - HOUR + 1)  # it counted before
    assert not fired(TWO, seen("SUCCESS", "third"), [last, other])
    day = {"timeWindow": {"type": "DAILY_TIME_DEADLINE", "deadline": "11:00:00"}}
    assert not fired({"preconditions": TWO["preconditions"] | day}, last, [other])
    day = {"timeWindow": {"type": "DAILY_TIME_WINDOW", "startTime": "11:30:00", "endTime": "13:00:00"}}
    assert not fired({"preconditions": TWO["preconditions"] | day}, last, [other])


def test_filters_and_what_newer_flows_write() -> None:
    where = [
        {
            "id": "w",
            "filters": [
                {"field": "NAMESPACE", "type": "STARTS_WITH", "value": "et"},
                {"field": "STATE", "type": "IN", "values": ["FAILED"]},
                {"field": "EXPRESSION", "type": "IS_TRUE", "value": "{{ labels.env == 'prod' }}"},
            ],
        }
    ]
    assert fired({"preconditions": {"where": where}}, seen(labels={"env": "prod"}))
    assert not fired({"preconditions": {"where": where}}, seen(namespace="dev", labels={"env": "prod"}))
    any_of = {"dependsOn": [{"flowId": "orders", "states": ["FAILED"]}, {"flowId": "users"}], "mode": "ANY"}
    assert fired(any_of, seen())
    assert not fired(any_of | {"mode": "ALL"}, seen())


@pytest.mark.parametrize(
    ("pipeline", "source", "expected"),
    [
        ("dev.failing-task", "flow", ("dev", "failing-task")),
        ("company.team.f", "flow", ("company.team", "f")),
        ("etl/orders", "airflow", ("etl", "orders")),
        ("train", "prefect", ("prefect", "train")),
        ("dag.task", "openlineage:prod", ("prod", "dag.task")),
    ],
)
def test_any_pipeline_has_a_namespace_and_a_name(pipeline: str, source: str, expected: tuple[str, str]) -> None:
    assert named(pipeline, source) == expected


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ("{id: t, type: io.kestra.plugin.core.trigger.Flow, conditions: [{type: x.Nonsense}]}", "'x.Nonsense'"),
        ("{id: t, type: io.kestra.plugin.core.trigger.Flow, conditions: 3}", "expected a list"),
        ("{id: t, type: io.kestra.plugin.core.trigger.Flow, when: '{{ oops'}", "when"),
        ("{id: t, type: io.kestra.plugin.core.trigger.Schedule, cron: 'every day'}", "cron"),
        ("{id: t, type: io.kestra.plugin.core.trigger.Schedule, cron: '@daily', timezone: Mars}", "time zone 'Mars'"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_said_when_the_flow_is_read(trigger: str, said: str) -> None:
    task = "{id: a, type: io.kestra.plugin.core.log.Log, message: x}"
    with pytest.raises(Wrong, match=said) as wrong:
        read_flow("f.yml", f"id: f\nnamespace: dev\ntasks: [{task}]\ntriggers:\n  - {trigger}\n")
    assert str(wrong.value).startswith("f.yml:5")


NAMES = """type conditions in notIn states preconditions flows where filters field value values timeWindow window
operand labels namespace flowId dependsOn mode atLeast when inputs expression deadline startTime endTime after before
prefix comparison"""
WORDS = """x.ExecutionStatus x.Not x.Or x.ExecutionLabels x.TimeBetween x.HasRetryAttempt FAILED etl ANY AT_LEAST
EQUAL_TO IS_TRUE EXPRESSION STATE DAILY_TIME_WINDOW 99:99 P1D {{labels.env}}"""
a_name, a_word = st.sampled_from(NAMES.split()), st.sampled_from(WORDS.split())
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 99), a_word),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(a_name, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(a_name, anything, max_size=5))
@settings(max_examples=300, deadline=None)
def test_whatever_a_trigger_says_it_is_understood_or_refused(fields: dict[str, Any]) -> None:
    trigger = Trigger("t", "io.kestra.plugin.core.trigger.Flow", "flow", 1, fields)
    try:
        check(trigger)
        assert fired(fields, seen(labels={"env": "prod"}), [seen("SUCCESS", "users")]) in (True, False)
    except (Unfit, ExpressionError):
        pass
