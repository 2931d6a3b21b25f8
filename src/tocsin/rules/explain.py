"""Why somebody was told, or was not: the stored decisions and the fate of each delivery, in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tocsin.model.event import Event
from tocsin.rules.index import CompiledRule
from tocsin.rules.plan import Decision

MOST_OTHERS = 200


def explain(
    event: Event,
    decisions: Sequence[Decision],
    omitted: int,
    others: Iterable[CompiledRule],
    deliveries: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """`others` are the rules that planning did not look at, because nothing in the event leads to them."""
    considered: list[dict[str, Any]] = [
        {"rule_id": d.rule_id, "rule": d.rule, "verdict": d.verdict, "reason": d.reason, "webhooks": list(d.endpoints)}
        for d in decisions
    ]
    for rule in others:
        if len(considered) >= MOST_OTHERS:
            omitted += 1
            continue
        considered.append(
            {
                "rule_id": rule.rule.id,
                "rule": rule.rule.name,
                "verdict": "not_matched",
                "reason": first_misfit(rule, event),
                "webhooks": [],
            }
        )
    return {
        "summary": summary(decisions, considered, deliveries),
        "decisions": considered,
        "omitted_decisions": omitted,
        "deliveries": [
            {
                "id": d["id"],
                "webhook_id": d["webhook_id"],
                "rule_id": d["rule_id"],
                "status": d["status"],
                "reason": d["reason"] or d["error_message"],
                "attempts": d["attempts"],
            }
            for d in deliveries
        ],
    }


def first_misfit(rule: CompiledRule, event: Event) -> str:
    """The first thing the rule asks for that the event has not."""
    asked = rule.rule
    if not (rule.types(event.type) or rule.types(event.kind)):
        return f"the type {event.type} (kind {event.kind}) is not one of {', '.join(asked.event_types)}"
    if not rule.pipelines(event.pipeline):
        return f"the pipeline {event.pipeline or '(none)'} is not one of {', '.join(asked.pipelines)}"
    for name, fits in rule.labels:
        if name not in event.labels:
            return f"the event has no label {name}"
        if not fits(event.labels[name]):
            return f"the label {name} is {event.labels[name]}, not {asked.labels[name]}"
    return "it was made or changed after the event came in"


def summary(
    decisions: Sequence[Decision], considered: Sequence[Mapping[str, Any]], deliveries: Sequence[Mapping[str, Any]]
) -> str:
    """One sentence that answers the question."""
    if deliveries:
        counts: dict[str, int] = {}
        for delivery in deliveries:
            counts[delivery["status"]] = counts.get(delivery["status"], 0) + 1
        told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        reasons = [(d["status"], d["reason"] or d["error_message"]) for d in deliveries if d["status"] != "delivered"]
        because = next((f" ({status}: {reason})" for status, reason in reasons if reason), "")
        return f"This event led to {len(deliveries)} notification{'s' * (len(deliveries) != 1)}: {told}{because}."
    if not considered:
        return "Nobody was told: there is no rule, and no webhook has this event among its enabled events."
    if not decisions:
        return f"Nobody was told: none of the {len(considered)} rules asks for this event."
    decision = decisions[0]
    said = "did not match" if decision.verdict == "not_matched" else "matched"
    return f"Nobody was told: {decision.rule} {said}: {decision.reason}."
