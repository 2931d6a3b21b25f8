"""Which messages become one, and when it is sent."""

from collections.abc import Iterator
from itertools import count

import pytest
from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.noise import Digest, Flood, Grouping, Hours, Noise
from tocsin.model.rule import Rule
from tocsin.model.world import Fold, World
from tocsin.rules.fold import (
    ALONE,
    SUMMARY_MS,
    Folded,
    flooded,
    group_key,
    grouped,
    in_common,
    join,
    value_of,
)
from tocsin.rules.index import compile_rule
from tocsin.rules.plan import Channel, Moment, Plan, Planned, needs, plan, plan_test

NOW = 1_795_226_400_000  # 2026-11-21T02:00:00Z, a Saturday
S = 1000
GROUP = Grouping(("pipeline",), 30, 300)
DIGEST = Digest(at="09:00", time_zone="Europe/Berlin")


def event(number: int = 1, **fields: object) -> Event:
    given: dict[str, object] = {
        "uid": f"evt_{number}", "tenant_id": "default", "id": f"e{number}", "source": "airflow", "type": "run.failed",
        "kind": "run.failed", "time_ms": NOW, "received_ms": NOW, "severity": "error", "pipeline": "etl/orders",
    }  # fmt: skip
    return Event(**(given | fields))  # type: ignore[arg-type]


def channel(**fields: object) -> Channel:
    return Channel("whk_1", "webhook", 1, 3600, **fields)  # type: ignore[arg-type]


def rule(id_: str = "rul_1", **noise: object) -> Rule:
    return Rule(id=id_, tenant_id="default", name="r", endpoint_ids=("whk_1",), noise=Noise(**noise))  # type: ignore[arg-type]


class Desk:
    """Plans one event after the other in one world; deliveries are named d1, d2, …"""

    def __init__(self, *rules: Rule, **of_channel: object) -> None:
        self.world = World()
        self.rules = [compile_rule(one, order) for order, one in enumerate(rules or (rule(),))]
        self.channels = {"whk_1": channel(**of_channel)}
        self.numbers: Iterator[int] = count(1)

    def plan(self, at_ms: int, **fields: object) -> Plan:
        number = next(self.numbers)
        moment = Moment(event(number, time_ms=at_ms, **fields), None, None, at_ms)
        return plan(moment, self.rules, self.channels, self.world, lambda: f"d{number}")

    def one(self, at_ms: int, **fields: object) -> Planned:
        (send,) = self.plan(at_ms, **fields).sends
        return send

    def ways(self, *at_ms: int, **fields: object) -> list[str]:
        """`d1` for one that goes alone, `d1@30` for one that waits 30 s for company, `d2>d1` for one that joins."""
        return [way(self.one(ms, **fields)) for ms in at_ms]


def way(send: Planned) -> str:
    if send.folded_into:
        assert send.suppressed.startswith(f"told in {send.folded_into} (")
        return f"{send.delivery_id}>{send.folded_into}"
    assert not send.suppressed
    return f"{send.delivery_id}@{(send.due_ms - NOW) / S:g}" if send.due_ms else send.delivery_id


# One message for several.


def test_the_first_waits_and_the_next_join_it_until_it_is_due() -> None:
    fold, first = join(Fold(), "a", NOW, NOW + 30 * S)
    assert first == Folded("head", NOW + 30 * S)
    fold, second = join(fold, "b", NOW + 30 * S - 1, NOW + 60 * S - 1)
    assert second == Folded("into", NOW + 30 * S, "a")
    assert fold.count == 2
    fold, third = join(fold, "c", NOW + 30 * S, NOW + 60 * S)
    assert (third, fold.head, fold.count) == (Folded("head", NOW + 60 * S), "c", 1)


def test_nothing_joins_a_message_that_takes_no_more() -> None:
    waiting = Fold("", NOW + 30 * S, 4)  # its head was tried already, or is gone
    fold, told = join(waiting, "b", NOW, NOW + 60 * S)
    assert (told, fold.head) == (Folded("head", NOW + 60 * S), "b")


def test_nothing_joins_a_message_that_is_later_than_its_own_would_be() -> None:
    """The digest was weekly and is daily now."""
    weekly = Fold("a", NOW + 5 * 86_400 * S, 3)
    assert join(weekly, "b", NOW, NOW + 3600 * S)[1] == Folded("head", NOW + 3600 * S)


def test_the_second_message_of_a_group_keeps_its_distance() -> None:
    fold, first = grouped(GROUP, Fold(), "a", NOW)
    assert first.due_ms == NOW + 30 * S
    fold, second = grouped(GROUP, fold, "b", NOW + 31 * S)
    assert second == Folded("head", NOW + 330 * S)
    fold, third = grouped(GROUP, fold, "c", NOW + 329 * S)
    assert third.into == "b"
    assert grouped(GROUP, fold, "d", NOW + 631 * S)[1].due_ms == NOW + 661 * S
    assert grouped(GROUP, fold, "d", NOW + 600 * S)[1].due_ms == NOW + 630 * S


# Limits.


def test_a_flood_is_alone_while_there_is_room_then_one_summary() -> None:
    flood, fold, told = Flood(5, 60), Fold(), []
    for number in range(100):
        fold, folded = flooded(flood, fold, f"d{number}", NOW + number)
        told.append(folded)
    assert told[:5] == [ALONE] * 5
    assert told[5].way == "head"
    assert told[5].due_ms == NOW + 12 * S  # when the sixth of 5 a minute has room
    assert {one.into for one in told[6:]} == {"d5"}


def test_a_flood_that_goes_on_stays_within_its_limit() -> None:
    flood, fold, sent_ms = Flood(5, 60), Fold(), []
    for step in range(3600):  # one a second for an hour
        fold, folded = flooded(flood, fold, f"d{step}", NOW + step * S)
        if folded.way != "into":
            sent_ms.append(folded.due_ms or NOW + step * S)
    for begin_ms in sent_ms:
        assert sum(begin_ms <= ms < begin_ms + 60 * S for ms in sent_ms) <= 10  # 5 at once and 5 a minute
    assert 5 * 59 <= len(sent_ms) <= 5 * 61


def test_a_summary_waits_for_company_and_is_not_overtaken() -> None:
    flood, fold = Flood(1000, 60), Fold()
    for number in range(1000):
        fold, folded = flooded(flood, fold, f"d{number}", NOW)
        assert folded is ALONE
    fold, head = flooded(flood, fold, "head", NOW)
    assert head.due_ms == NOW + SUMMARY_MS
    fold, later = flooded(flood, fold, "x", NOW + 1500)  # there is room again, and yet
    assert later.into == "head"


def test_after_a_pause_there_is_room_again() -> None:
    flood, fold = Flood(2, 10), Fold()
    for number in range(5):
        fold, _ = flooded(flood, fold, f"d{number}", NOW)
    assert flooded(flood, fold, "x", NOW + 60 * S)[1] is ALONE


# What a group has in common.


def test_groups_are_told_apart_by_what_their_events_say() -> None:
    by = Grouping(("pipeline", "labels.env"))
    keys = {
        group_key(by, event(labels={"env": "prod"})),
        group_key(by, event(labels={"env": "dev"})),
        group_key(by, event(pipeline="x", labels={"env": "dev"})),
        group_key(by, event()),
    }
    assert len(keys) == 4
    assert group_key(by, event(7)) == group_key(by, event(8))
    assert group_key(by, event(pipeline="a", labels={"env": "b"})) != group_key(
        by, event(pipeline="a\x00labels.env\x00b", labels={})
    )
    assert len(group_key(by, event(pipeline="x" * 10_000))) == 32  # an index has limits


def test_what_they_have_in_common_is_said_in_words() -> None:
    by = Grouping(("pipeline", "labels.env"))
    assert in_common(by, event(labels={"env": "prod"})) == "pipeline=etl/orders, labels.env=prod"
    assert in_common(by, event()) == "pipeline=etl/orders"
    assert in_common(Grouping(()), event()) == "everything of one rule"
    assert len(in_common(by, event(pipeline="x\n" * 500))) < 100
    assert value_of(event(), "kind") == "run.failed"
    assert value_of(event(), "labels.none") == ""


# In a plan.


def test_a_group_is_one_message_for_each_key() -> None:
    desk = Desk(rule(group=GROUP))
    assert desk.ways(NOW, NOW + 5 * S) == ["d1@30", "d2>d1"]
    assert desk.ways(NOW + 6 * S, pipeline="other") == ["d3@36"]
    assert desk.ways(NOW + 29 * S) == ["d4>d1"]
    assert desk.one(NOW + 29 * S).suppressed == "told in d1 (pipeline=etl/orders)"
    assert desk.one(NOW + 31 * S).words.fold == "pipeline=etl/orders"


def test_a_group_of_one_rule_is_not_that_of_another() -> None:
    one, two = rule(group=GROUP), rule("rul_2", group=GROUP)
    first, second = Desk(one), Desk(two)
    second.world = first.world
    assert first.ways(NOW) == ["d1@30"]
    assert second.ways(NOW) == ["d1@30"]


def test_a_digest_takes_all_but_what_is_critical() -> None:
    desk = Desk(rule(group=GROUP, flood=Flood(1)), digest=DIGEST)
    seven = (NOW + 6 * 3600 * S - NOW) / S  # 09:00 in Berlin is 08:00 UTC
    assert desk.ways(NOW, NOW + 60 * S) == [f"d1@{seven:g}", "d2>d1"]
    assert desk.one(NOW + 70 * S).suppressed == "told in d1 (the daily digest)"
    critical = desk.one(NOW + 80 * S, severity="critical")
    assert (critical.due_ms, critical.words.fold) == (NOW + 110 * S, "pipeline=etl/orders")  # the group still holds
    assert Desk(digest=DIGEST).ways(NOW, severity="critical") == ["d1"]
    weekly = Desk(digest=replace(DIGEST, every="week", weekday=0)).one(NOW)
    assert weekly.words.fold == "the weekly digest"
    assert weekly.due_ms == NOW + (2 * 86_400 + 6 * 3600) * S


def test_quiet_hours_take_all_but_what_is_critical() -> None:
    nights = (Hours("22:00", "07:00"),)
    desk = Desk(quiet=nights)
    assert desk.ways(NOW, NOW + S) == [f"d1@{5 * 3600}", "d2>d1"]
    assert desk.ways(NOW + 2 * S, severity="critical") == ["d3"]
    assert desk.ways(NOW + 5 * 3600 * S) == ["d4"]  # the end is not quiet any more
    assert Desk(quiet=nights, digest=DIGEST).one(NOW).words.fold == "the daily digest"


def test_a_rules_flood_and_an_endpoints_flood() -> None:
    assert Desk(rule(flood=Flood(2, 60))).ways(NOW, NOW, NOW, NOW) == ["d1", "d2", "d3@30", "d4>d3"]
    desk = Desk(rule(), flood=Flood(2, 60))
    assert desk.ways(NOW, NOW, NOW, NOW) == ["d1", "d2", "d3@30", "d4>d3"]
    assert desk.one(NOW).suppressed == "told in d3 (more than 2 in 60 s at this endpoint)"
    assert desk.one(NOW, severity="critical").folded_into == "d3"  # limits hold for all


def test_an_endpoints_flood_counts_over_rules() -> None:
    one, two = rule(), rule("rul_2")
    first, second = Desk(one, flood=Flood(1, 60)), Desk(two, flood=Flood(1, 60))
    second.world = first.world
    assert first.ways(NOW) == ["d1"]
    assert second.ways(NOW) == ["d1@60"]


def test_groups_that_multiply_are_a_flood_too() -> None:
    """A group for every run would be a message for every run."""
    desk = Desk(rule(group=Grouping(("labels.id",), 30, 300)), flood=Flood(2, 60))
    told = [way(desk.one(NOW, labels={"id": str(number)})) for number in range(6)]
    assert told == ["d1@30", "d2@30", "d3@30", "d4>d3", "d5>d3", "d6>d3"]
    assert desk.ways(NOW + S, labels={"id": "0"}) == ["d7>d1"]  # its own group waits, so it goes there
    assert desk.one(NOW + S, labels={"id": "4"}).suppressed == "told in d3 (more than 2 in 60 s at this endpoint)"


def test_a_runs_own_message_is_no_flood() -> None:
    desk = Desk(rule(flood=Flood(1, 60)), live=True, flood=Flood(1, 60))
    assert desk.ways(NOW, NOW, run_id="r1") == ["d1", "d2"]
    assert desk.ways(NOW, NOW) == ["d3", "d4@60"]


def test_alarms_are_never_held_up() -> None:
    """PagerDuty and Opsgenie."""
    desk = Desk(rule(group=GROUP, flood=Flood(1)), alarms=True, digest=DIGEST, flood=Flood(1))
    assert desk.ways(NOW, NOW, NOW) == ["d1", "d2", "d3"]
    assert not desk.world.changed_folds


def test_what_is_not_sent_is_not_folded() -> None:
    desk = Desk(rule(group=GROUP), suppressed="the webhook is switched off")
    send = desk.one(NOW)
    assert (send.suppressed, send.folded_into, send.words.fold) == ("the webhook is switched off", "", "")
    assert not desk.world.changed_folds
    assert needs(event(), desk.rules, desk.channels, NOW) == (set(), set())


def test_a_test_message_is_never_folded() -> None:
    found = plan_test("default", "whk_1", {"whk_1": channel(digest=DIGEST, flood=Flood(1))}, "d1")
    (send,) = found.sends
    assert (send.due_ms, send.suppressed, send.words.fold) == (0, "", "")


@pytest.mark.parametrize("at_ms", [NOW, NOW + 7 * 3600 * S])
@pytest.mark.parametrize("severity", ["error", "critical"])
def test_all_that_a_plan_touches_is_asked_for_before(at_ms: int, severity: str) -> None:
    for of_channel in ({}, {"digest": DIGEST}, {"quiet": (Hours("22:00", "07:00"),)}, {"flood": Flood(1)}):
        desk = Desk(rule(group=GROUP, flood=Flood(1)), rule("rul_2", flood=Flood(1)), **of_channel)
        for _ in range(3):
            asked = needs(event(severity=severity), desk.rules, desk.channels, at_ms)[1]
            desk.plan(at_ms, severity=severity)
            assert desk.world.changed_folds <= asked
