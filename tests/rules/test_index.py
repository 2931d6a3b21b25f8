"""Rules are found by what the event says: the same ones as by asking each of them, and no slower for those beside."""

import time
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.event import Event
from tocsin.model.rule import RateLimit, Rule
from tocsin.rules.index import RuleIndex, compile_rule

TYPES = ["run.failed", "run.started", "training.failed", "alert", "run.heartbeat"]
PIPELINES = ["etl/orders", "etl/items", "ml", ""]
LABELS = ["env", "team"]
VALUES = ["prod", "dev", "data"]
TYPE_PATTERNS = [*TYPES, "run.*", "*.failed", "*", "r?n.failed"]
PIPELINE_PATTERNS = [*PIPELINES[:3], "etl/*", "*", "?l"]


def rule(id_: str, **fields: Any) -> Rule:
    return Rule(id=id_, tenant_id="t", name=id_, **fields)


def event(**fields: Any) -> Event:
    standard: dict[str, Any] = {
        "uid": "evt_1", "tenant_id": "t", "id": "e", "source": "s", "type": "run.failed", "kind": "run.failed",
        "time_ms": 0, "received_ms": 0,
    }  # fmt: skip
    return Event(**standard | fields)


RULES = st.lists(
    st.builds(
        Rule,
        id=st.uuids().map(str),
        tenant_id=st.just("t"),
        name=st.just("x"),
        event_types=st.lists(st.sampled_from(TYPE_PATTERNS), max_size=3).map(tuple),
        pipelines=st.lists(st.sampled_from(PIPELINE_PATTERNS), max_size=3).map(tuple),
        labels=st.dictionaries(st.sampled_from(LABELS), st.sampled_from([*VALUES, "*", "d*"]), max_size=2),
    ),
    max_size=25,
)
EVENTS = st.lists(
    st.builds(
        event,
        type=st.sampled_from(TYPES),
        kind=st.sampled_from(["run.failed", "run.started", "alert", "other"]),
        pipeline=st.sampled_from(PIPELINES),
        labels=st.dictionaries(st.sampled_from([*LABELS, "more"]), st.sampled_from(VALUES), max_size=3),
    ),
    min_size=1,
    max_size=5,
)


@given(RULES, EVENTS)
def test_as_if_each_was_asked(rules: list[Rule], events: list[Event]) -> None:
    index = RuleIndex(rules)
    for one in events:
        asked = [r.id for order, r in enumerate(rules) if compile_rule(r, order).wants(one)]
        assert [found.rule.id for found in index.candidates(one)] == asked
        assert [found.rule.id for found in index.candidates(one)] == asked, "and again, from memory"


@pytest.mark.parametrize("seed", range(3))
def test_as_if_each_of_ten_thousand_was_asked(seed: int) -> None:
    random = Random(seed)
    rules = [
        rule(
            f"rul_{n}",
            event_types=tuple(random.sample(TYPE_PATTERNS, random.randint(0, 2))),
            pipelines=tuple(random.sample([*PIPELINE_PATTERNS, f"p{n}"], random.randint(0, 2))),
            labels=dict(zip(random.sample(LABELS, 1), random.sample(VALUES, 1), strict=True)) if n % 3 == 0 else {},
        )
        for n in range(10_000)
    ]
    index = RuleIndex(rules)
    one = event(pipeline=random.choice(PIPELINES), labels={"env": random.choice(VALUES)})
    asked = [r.id for order, r in enumerate(rules) if compile_rule(r, order).wants(one)]
    assert [found.rule.id for found in index.candidates(one)] == asked


def test_an_event_costs_what_matches_it() -> None:
    # design 7: 10,000 rules of which 10 match
    def cost_s(count: int) -> float:
        rules = [rule(f"m{n}", event_types=("run.failed",), pipelines=("etl/orders",)) for n in range(10)]
        rules += [rule(f"p{n}", event_types=("run.failed",), pipelines=(f"other/{n}",)) for n in range(count // 2)]
        rules += [rule(f"t{n}", event_types=(f"type.{n}",), labels={"env": f"e{n}"}) for n in range(count // 2)]
        index = RuleIndex(rules)
        one = event(pipeline="etl/orders", labels={"env": "prod"})
        assert len(index.candidates(one)) == 10
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(200):
                index.candidates(one)
            best = min(best, time.perf_counter() - start)
        return best

    assert cost_s(10_000) < 3 * cost_s(10)


def test_a_rule_that_does_not_hold_stops_no_other() -> None:
    # F38
    index = RuleIndex([rule("bad", condition="nonsense ("), rule("worse", event_types=("",)), rule("good")])
    assert [found.rule.id for found in index.candidates(event())] == ["good"]
    assert set(index.broken) == {"bad", "worse"}


def test_limited_rules_are_known() -> None:
    index = RuleIndex([rule("a", rate_limit=RateLimit(1)), rule("b")])
    assert [found.rule.id for found in index.limited] == ["a"]
    assert index.size == 2


def test_a_sign_of_life_is_for_those_who_name_it() -> None:
    asks = {
        "all": ("*",),
        "runs": ("run.*",),
        "kind": ("run.progress",),
        "none": (),
        "named": ("run.heartbeat", "run.failed"),
    }
    index = RuleIndex([rule(name, event_types=types) for name, types in asks.items()])
    beat = event(type="run.heartbeat", kind="run.progress")
    assert [found.rule.id for found in index.candidates(beat)] == ["named"]
    assert [found.rule.id for found in index.candidates(event(type="run.resumed", kind="run.progress"))] == [
        "all",
        "runs",
        "kind",
        "none",
    ]
