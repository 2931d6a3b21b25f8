"""What an event leads to: which deliveries, which are suppressed, and the trace that says why."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from tocsin.model.event import Event
from tocsin.model.rule import RetryPolicy, Rule
from tocsin.model.run import Run
from tocsin.rules.condition import activation
from tocsin.rules.index import CompiledRule

MAX_TRACED = 100
"""Decisions kept per event; more are counted."""


class Channel(Struct, frozen=True):
    """An endpoint as planning sees it.

    suppressed: why nothing is sent there at present, or "". waits: why Tocsin switched it off, or "": deliveries wait
    for a person.
    """

    endpoint_id: str
    provider_type: str
    version: int
    max_age_s: int
    suppressed: str = ""
    waits: str = ""
    paced: bool = False


class Planned(Struct, frozen=True):
    """A delivery to be written."""

    channel: Channel
    rule: Rule


class Decision(Struct, frozen=True, omit_defaults=True):
    """What was decided about one rule. `verdict`: matched, not_matched, or covered (another rule came first)."""

    rule_id: str
    rule: str
    verdict: str
    reason: str = ""
    endpoints: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    sends: tuple[Planned, ...]
    decisions: tuple[Decision, ...]
    omitted: int = 0


def plan(event: Event, run: Run | None, candidates: Iterable[CompiledRule], channels: Mapping[str, Channel]) -> Plan:
    """Decides. An endpoint gets an event once, through the first rule that leads to it."""
    sends: dict[str, Planned] = {}
    decisions: list[Decision] = []
    omitted = 0
    facts: Any = None
    for compiled in candidates:
        rule = compiled.rule
        reason = ""
        if compiled.condition is not None:
            if facts is None:
                facts = activation(event, run)
            verdict = compiled.condition.evaluate(facts)
            reason = verdict.reason
            if not verdict.matched:
                if len(decisions) < MAX_TRACED:
                    decisions.append(Decision(rule.id, rule.name, "not_matched", reason))
                else:
                    omitted += 1
                continue
        reached = []
        for endpoint_id in rule.endpoint_ids:
            channel = channels.get(endpoint_id)
            if channel is not None and endpoint_id not in sends:
                sends[endpoint_id] = Planned(channel, rule)
                reached.append(endpoint_id)
        if len(decisions) < MAX_TRACED:
            decisions.append(decided(rule, reached, channels))
        else:
            omitted += 1
    return Plan(tuple(sends.values()), tuple(decisions), omitted)


def decided(rule: Rule, reached: list[str], channels: Mapping[str, Channel]) -> Decision:
    if reached:
        return Decision(rule.id, rule.name, "matched", "", tuple(reached))
    if any(endpoint_id in channels for endpoint_id in rule.endpoint_ids):
        return Decision(rule.id, rule.name, "covered", "an earlier rule already leads to its endpoints")
    return Decision(rule.id, rule.name, "matched", "its endpoints were deleted, or it has none")


def plan_test(tenant_id: str, endpoint_id: str, channels: Mapping[str, Channel]) -> Plan:
    """A test message: to this endpoint alone, at once, and whether it is switched on or not."""
    channel = channels.get(endpoint_id)
    if channel is None:
        return Plan((), ())
    rule = Rule(id="test", tenant_id=tenant_id, name="test message", retry=RetryPolicy(max_attempts=1))
    open_ = Channel(endpoint_id, channel.provider_type, channel.version, channel.max_age_s)
    return Plan((Planned(open_, rule),), (Decision("test", rule.name, "matched", "", (endpoint_id,)),))
