"""Why somebody was told, or was not: the stored decisions and the fate of each delivery, in words."""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from tocsin.model.event import Event
from tocsin.model.fate import Fate
from tocsin.model.run import ENDED, Run
from tocsin.provider_kit.text import cut, duration, line
from tocsin.rules.hours import utc
from tocsin.rules.incident import OPENS
from tocsin.rules.index import HEARTBEAT, CompiledRule
from tocsin.rules.plan import Decision

MOST_OTHERS = 200
MOST_NAMED = 3
REASON_CHARS = 300
NAME_CHARS = 80

NOBODY = "Nobody was told"
NOT_ASKED = "no rule was asked, for {}"
UPDATING = "waits to bring"
"""A run's message was sent, and an edit of it must wait."""

Ending = Literal["told", "waits", "not_told"]
TYPE, PIPELINE, LABEL, FITS = range(4)
"""How near a rule came to an event: what of it did not fit first."""


class Misfit(Struct, frozen=True):
    """The first thing that a rule asks for and an event has not. `near` is larger the more of the rule fits."""

    near: int
    reason: str


class Considered(Struct, frozen=True):
    """A rule and what became of it. `webhooks` are the ids of those it led to."""

    rule_id: str
    rule: str
    verdict: str
    reason: str
    webhooks: tuple[str, ...] = ()


class Told(Struct, frozen=True):
    """A delivery. `fate`: how it ended or why it waits, in words. `told_in`: the delivery whose message tells of it."""

    id: str
    webhook_id: str
    webhook: str
    rule_id: str
    status: str
    attempts: int
    reason: str
    fate: str
    told_in: str = ""


class Why(Struct, frozen=True):
    """The answer about one event; `summary` is one sentence. `elsewhere`: so many deliveries are not shown here."""

    summary: str
    decisions: tuple[Considered, ...]
    omitted_decisions: int
    deliveries: tuple[Told, ...]
    elsewhere: int = 0


class Chapter(Struct, frozen=True):
    """One event of a run's story."""

    event: Event
    fates: tuple[Fate, ...]
    why: Why


def explain(
    event: Event,
    decisions: Sequence[Decision],
    omitted: int,
    fates: Sequence[Fate],
    now_ms: int,
    *,
    others: Iterable[CompiledRule] = (),
    rules: int = 0,
    elsewhere: int = 0,
    off: str = "",
) -> Why:
    """`others`: rules that planning did not look at: nothing in the event leads to them, or they are switched off. They
    come after the others, the nearest first.
    `rules`: how many there were when it was decided, where the others are not given. `elsewhere`: deliveries that are
    not among the fates, because they are not for whoever asks to see. `off`: why no rule was asked at all, or ""."""
    decided = [Considered(d.rule_id, d.rule, d.verdict, d.reason, d.endpoints) for d in decisions]
    near = [(FITS, one) for one in decided if one.verdict == "not_matched"]
    rest = sorted((as_other(compiled, event, off) for compiled in others), key=lambda one: -one[0])
    near += rest
    nearest = max(near, key=lambda one: one[0])[1] if near else None
    count = max(rules, len(decided) + omitted + len(rest))
    room = max(0, MOST_OTHERS - len(decided))
    return Why(
        not_nobody(summary(decided, nearest, count, fates, now_ms, off), elsewhere),
        (*decided, *(one for _, one in rest[:room])),
        omitted + len(rest[room:]),
        tuple(told(fate, now_ms) for fate in fates),
        elsewhere,
    )


def not_nobody(said: str, elsewhere: int) -> str:
    """Where somebody else may have been told, nobody was not."""
    return said.replace(NOBODY, "None of your webhooks was told", 1) if elsewhere else said


def as_other(compiled: CompiledRule, event: Event, off: str = "") -> tuple[int, Considered]:
    misfit = misfit_of(compiled, event, off)
    return misfit.near, Considered(compiled.rule.id, compiled.rule.name, "not_matched", misfit.reason)


def misfit_of(rule: CompiledRule, event: Event, off: str = "") -> Misfit:
    """The first thing the rule asks for that the event has not. `off`: why no rule was asked, or ""."""
    asked = rule.rule
    if not rule.wants_type(event):
        if event.type == HEARTBEAT:
            return Misfit(TYPE, f"{HEARTBEAT} is told to those who name it, and the rule names none")
        return Misfit(TYPE, f"the type {event.type} (kind {event.kind}) is not one of {', '.join(asked.event_types)}")
    if not rule.pipelines(event.pipeline):
        pipelines = ", ".join(asked.pipelines)
        return Misfit(PIPELINE, f"the pipeline {event.pipeline or '(none)'} is not one of {pipelines}")
    for name, fits in rule.labels:
        if name not in event.labels:
            return Misfit(LABEL, f"the event has no label {name}")
        if not fits(event.labels[name]):
            return Misfit(LABEL, f"the label {name} is {event.labels[name]}, not {asked.labels[name]}")
    if not asked.is_active:
        return Misfit(FITS, "the rule is switched off")
    if off:
        return Misfit(FITS, NOT_ASKED.format(off))
    return Misfit(FITS, "it was made or changed after the event came in")


# One delivery.


def told(fate: Fate, now_ms: int) -> Told:
    return Told(
        id=fate.id,
        webhook_id=fate.endpoint_id,
        webhook=fate.endpoint,
        rule_id=fate.rule_id,
        status=fate.status,
        attempts=fate.attempts,
        reason=fate.reason or fate.error,
        fate=fate_of(fate, now_ms)[1],
        told_in=fate.head.id if fate.head else "",
    )


def fate_of(fate: Fate, now_ms: int) -> tuple[Ending, str]:
    """How it ended or why it waits, in words that follow a name: `orders was told at …`."""
    if fate.status == "suppressed" and fate.head is not None:
        return of_head(fate, now_ms)
    if fate.status == "delivered":
        at = f"told at {utc(fate.delivered_ms or fate.due_ms)}"
        together = f" together with others ({fate.common})" if fate.common else ""
        return "told", at + together + (f": {fate.reason}" if fate.reason else "")
    if fate.status == "suppressed":
        return "not_told", fate.reason
    if fate.reason.startswith(UPDATING):
        return "told", f"told; it {fate.reason} {due(fate.due_ms, now_ms)}"
    if fate.status in ("dead", "expired", "cancelled"):
        return "not_told", ended(fate.status, fate.reason or fate.error, fate.attempts)
    return "waits", waiting(fate, now_ms)


def of_head(fate: Fate, now_ms: int) -> tuple[Ending, str]:
    """It became part of another message, and that one's fate is its own."""
    assert fate.head is not None
    head = fate.head
    common = between_brackets(fate.reason) or "others"
    if head.status == "delivered":
        return "told", f"told at {utc(head.delivered_ms or head.due_ms)} together with others ({common})"
    if head.status in ("pending", "sending", "retrying"):
        return "waits", f"it is told {due(head.due_ms, now_ms)} together with others ({common})"
    return (
        "not_told",
        f"the message that tells of it, too ({head.id}), did not get through: {head.reason or head.status}",
    )


def between_brackets(reason: str) -> str:
    """`told in dlv_1 (the daily digest)` → `the daily digest`."""
    return reason.partition("(")[2].removesuffix(")")


def ended(status: str, reason: str, attempts: int) -> str:
    tries = f" after {attempts} attempt{'s' * (attempts != 1)}" if attempts else ""
    reason = reason.removesuffix(f"; all {attempts} attempts failed")
    if reason.startswith(status):
        return f"{reason}{tries}"
    return f"{status}{tries}: {reason}" if reason else f"{status}{tries}"


def waiting(fate: Fate, now_ms: int) -> str:
    """What holds it up, the strongest first."""
    if fate.status == "sending":
        return "it is on its way"
    if fate.disabled:
        return f"it waits, since the webhook was switched off: {fate.disabled}"
    if fate.reason == "replayed":
        return f"it was replayed, and is sent {due(fate.due_ms, now_ms)}"
    if fate.status == "retrying":
        again = due(max(fate.due_ms, fate.paused_until_ms), now_ms)
        return f"attempt {fate.attempts} failed, and it is tried again {again}: {fate.reason or fate.error}"
    if fate.common:
        return f"it is told {due(fate.due_ms, now_ms)} ({fate.common})"
    if fate.paused_until_ms > now_ms:
        return f"it waits until {utc(fate.paused_until_ms)}: the provider's rate limit is used up"
    if fate.due_ms > now_ms:
        return f"it waits until {utc(fate.due_ms)}: the rule's rate limit is used up"
    return "it waits for its turn: a webhook gets its messages one after the other"


def due(due_ms: int, now_ms: int) -> str:
    return f"at {utc(due_ms)}" if due_ms > now_ms else "as soon as it can be"


# One sentence.


def summary(
    decided: Sequence[Considered],
    nearest: Considered | None,
    rules: int,
    fates: Sequence[Fate],
    now_ms: int,
    off: str = "",
) -> str:
    """One sentence that answers the question."""
    if not fates and off:
        return f"{NOBODY}: {NOT_ASKED.format(off)}."
    if not fates:
        return f"{NOBODY}: {silent(decided, nearest, rules)}."
    by_id = {decision.rule_id: decision for decision in decided}
    by_ending: dict[str, list[Fate]] = {"told": [], "waits": [], "not_told": []}
    for fate in fates:
        by_ending[fate_of(fate, now_ms)[0]].append(fate)
    if len(by_ending["not_told"]) == len(fates):
        first = fates[0]
        rule = f"rule {short(by_id[first.rule_id].rule)}: " if first.rule_id in by_id else ""
        return f"{NOBODY}: {rule}{words_of(first, now_ms)}{more_reasons(fates, now_ms)}."
    clauses = [told_clause(by_ending["told"], by_id, now_ms), waits_clause(by_ending["waits"], now_ms)]
    clauses.append(not_told_clause(by_ending["not_told"], now_ms))
    return "; ".join(clause for clause in clauses if clause) + "."


def told_clause(fates: Sequence[Fate], by_id: dict[str, Considered], now_ms: int) -> str:
    """`orders was told at 2026-11-21 02:00 UTC, by rule few rows: 3 failures in a row`."""
    if not fates:
        return ""
    first = fates[0]
    who = f"{short(first.endpoint)} was {words_of(first, now_ms)}"
    if len(fates) > 1:
        who = f"{names([fate.endpoint for fate in fates])} were told"
    decision = by_id.get(first.rule_id)
    if decision is None:
        return who
    says_why = decision.verdict == "matched" and decision.reason not in ("", *(fate.reason for fate in fates))
    return f"{who}, by rule {short(decision.rule)}" + (f": {clean(decision.reason)}" if says_why else "")


def waits_clause(fates: Sequence[Fate], now_ms: int) -> str:
    """`orders is not told yet: it waits for the daily digest …`."""
    if not fates:
        return ""
    verb = "is" if len(fates) == 1 else "are"
    return f"{names([fate.endpoint for fate in fates])} {verb} not told yet: {words_of(fates[0], now_ms)}"


def not_told_clause(fates: Sequence[Fate], now_ms: int) -> str:
    if not fates:
        return ""
    verb = "was" if len(fates) == 1 else "were"
    who = names([fate.endpoint for fate in fates])
    return f"{who} {verb} not told: {words_of(fates[0], now_ms)}{more_reasons(fates, now_ms)}"


def more_reasons(fates: Sequence[Fate], now_ms: int) -> str:
    """` (and 2 more reasons)` where not all deliveries ended for the same."""
    others = len({fate_of(fate, now_ms)[1] for fate in fates}) - 1
    return f" (and {others} more reason{'s' * (others != 1)})" if others else ""


def silent(decided: Sequence[Considered], nearest: Considered | None, rules: int) -> str:
    """Why there is not even a delivery: what came closest to one."""
    for held in decided:
        if held.verdict == "suppressed":
            return f"rule {short(held.rule)}: {clean(held.reason)}"
        if held.verdict == "matched":
            return f"rule {short(held.rule)} matched, but {clean(held.reason)}"
    if not rules:
        return "there is no rule, and no webhook has this event among its enabled events"
    if nearest is None:
        return f"none of the {rules} rules asks for this event"
    if rules == 1:
        return f"rule {short(nearest.rule)}: {clean(nearest.reason)}"
    return f"none of the {rules} rules asks for this event; nearest is {short(nearest.rule)}: {clean(nearest.reason)}"


def words_of(fate: Fate, now_ms: int) -> str:
    return clean(fate_of(fate, now_ms)[1])


def clean(reason: str) -> str:
    return cut(line(reason), REASON_CHARS)


def names(all_names: Sequence[str]) -> str:
    """`orders`, `orders and on-call`, `orders, on-call, mail and 2 more`."""
    shown = [short(name) for name in dict.fromkeys(all_names)]
    if len(shown) > MOST_NAMED:
        shown = [*shown[:MOST_NAMED], f"{len(shown) - MOST_NAMED} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def short(name: str) -> str:
    return cut(line(name), NAME_CHARS) or "(no name)"


# A run.


def story(run: Run, chapters: Sequence[Chapter], now_ms: int, *, elsewhere: int = 0) -> str:
    """One sentence about a whole run: who was told of it, or why nobody was. `elsewhere` as in `explain`."""
    return not_nobody(whole_story(run, chapters, now_ms), elsewhere)


def whole_story(run: Run, chapters: Sequence[Chapter], now_ms: int) -> str:
    name = short(f"{run.pipeline} {run.run_id}".strip())
    about = f"{name}, which {course(run, now_ms)}"
    endings: dict[str, list[Fate]] = {"told": [], "waits": [], "not_told": []}
    for fate in (fate for chapter in chapters for fate in chapter.fates):
        endings[fate_of(fate, now_ms)[0]].append(fate)
    if endings["told"]:
        webhooks = {fate.endpoint_id: fate.endpoint for fate in endings["told"]}
        times = len(endings["told"])
        of = {fate.event_uid for fate in endings["told"]}
        count = f"{times} message{'s' * (times != 1)} about {len(of)} of its {len(chapters)} events"
        return f"{names(list(webhooks.values()))} {'was' if len(webhooks) == 1 else 'were'} told of {about}: {count}."
    if endings["waits"]:
        first = endings["waits"][0]
        return f"Nobody has been told yet of {about}; {short(first.endpoint)}: {words_of(first, now_ms)}."
    if not chapters:
        return f"{NOBODY} of {about}: its events are no longer kept."
    _, _, said = key_chapter(chapters).why.summary.removesuffix(".").partition(" told: ")
    return f"{NOBODY} of {about}: {said}."


def key_chapter(chapters: Sequence[Chapter]) -> Chapter:
    """The event that people ask about: the last that led somewhere, else the last bad news, else the last of all."""
    led = [one for one in chapters if one.why.deliveries]
    kept = [one for one in chapters if any(said.verdict != "not_matched" for said in one.why.decisions)]
    bad = [one for one in chapters if one.event.kind in OPENS]
    return (led or kept or bad or chapters)[-1]


def course(run: Run, now_ms: int) -> str:
    """`failed after 12m 31s (disk full)`, `is running since 2026-11-21 02:00 UTC`."""
    error = f" ({cut(line(run.error), NAME_CHARS)})" if run.error and run.status == "failed" else ""
    if run.status in ENDED:
        status = {"warning": "ended with a warning", "cancelled": "was cancelled"}.get(run.status, run.status)
        return status + (f" after {duration(run.duration_ms)}" if run.duration_ms is not None else "") + error
    since = f" since {utc(run.started_ms)}" if run.started_ms is not None and run.started_ms <= now_ms else ""
    return {"running": f"is running{since}", "paused": f"is paused, started{since}"}.get(run.status, "has not started")
