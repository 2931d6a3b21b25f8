"""Many events in one message: what happened, how often, and the last of each.

7 events: 5 failed, 2 succeeded — pipeline=etl/orders
❌ etl/orders failed: relation "orders" does not exist (5×, last 14:02)
✅ etl/orders succeeded (2×, last 13:40)
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from tocsin.compose.message import (
    ACTIONS,
    NAME_CHARS,
    SAID_CHARS,
    TITLE_CHARS,
    compose,
    failed_stage,
    headline,
    named,
    severity_of,
)
from tocsin.compose.wording import Words as KindWords
from tocsin.compose.wording import words as words_of
from tocsin.model.delivery import Alike, Company, Words
from tocsin.model.event import SEVERITIES, Event
from tocsin.model.message import FOLDED, Message, Tone
from tocsin.provider_kit.text import cut, line

LINES = 12
"""What fits a screen; the rest is counted."""

LINE_CHARS = 200
"""Of one line: twelve of them stay within Slack's 3,000 characters of a section, mark-up included."""

STATES = 4
"""Kinds that the title and the facts count."""

TONES: tuple[Tone, ...] = ("rollback", "bad", "warning", "running", "neutral", "good")
"""The worst first."""

DAY_MS = 86_400_000

COUNTED = {
    "run.started": "started",
    "run.progress": "running",
    "run.paused": "paused",
    "run.succeeded": "succeeded",
    "run.failed": "failed",
    "run.warning": "with warnings",
    "run.cancelled": "cancelled",
    "run.exceeded": "too slow",
    "run.missed": "missed",
    "stage.started": "steps started",
    "stage.progress": "steps running",
    "stage.succeeded": "steps succeeded",
    "stage.failed": "steps failed",
    "stage.skipped": "steps skipped",
    "rollout.advanced": "rolled out",
    "safety.rollback": "rolled back",
    "alert": "alerts",
    "alert.resolved": "back to normal",
}
"""After a number, in a title; every other kind is `other`."""


class Line(Struct, frozen=True):
    """One line's worth. `newest` is the delivery whose event it shows, "" for the message's own."""

    say: KindWords
    count: int
    last_ms: int
    newest: str


def compose_folded(event: Event, company: Company, words: Words) -> Message:
    """One message about `event` and those that joined it, which have `words.fold` in common. `company.events` holds
    what `shown` asks for."""
    every = [as_found(one) for one in (*company.alike, own(event, words))]
    found = sorted_lines(every)
    count = company.count + 1
    first_ms, last_ms = min(one.first_ms for one in every), max(one.last_ms for one in every)
    dated = first_ms // DAY_MS != last_ms // DAY_MS
    listed = [worded(of, *company.events.get(of.newest, (event, words)), dated=dated) for of in found[:LINES]]
    if (rest := count - sum(of.count for of in found[:LINES])) > 0:
        listed.append(f"+{rest:,} more")
    say = found[0].say
    worst_event, _ = company.events.get(found[0].newest, (event, words))
    worst = compose(worst_event, None)
    why = cut(line(words.fold[:1000]), SAID_CHARS)
    states = counted(every)
    span = f"{clock(first_ms, dated=dated)} – {clock(last_ms, dated=dated)} UTC"
    pipelines = {one.pipeline for one in every}
    title = f"{count:,} events" + (f": {', '.join(states[:STATES])}" if states else "")
    severity = max((one.severity for one in every if one.severity in SEVERITIES), key=SEVERITIES.index, default="info")
    return Message(
        event_id=event.uid,
        event_uid=event.uid,
        event_type=FOLDED,
        kind="other",
        source="tocsin",
        severity=severity,
        tone=say.tone,
        emoji=say.emoji,
        title=cut(f"{title} — {why}", TITLE_CHARS),
        sentence=f"{say.emoji} {title} — {why}. {listed[0].partition(' ')[2]}.",
        text="\n".join(listed),
        facts=(
            *((state.partition(" ")[2].capitalize(), state.partition(" ")[0]) for state in states[:STATES]),
            *((("Pipelines", f"{len(pipelines):,}"),) if len(pipelines) > 1 else ()),
            ("Time", span),
        ),
        actions=worst.actions[:ACTIONS],
        footer=(f"{count:,} events in one message: {why}",),
        pipeline=pipelines.pop() if len(pipelines) == 1 else "",
        time_ms=last_ms,
        data={
            "count": count,
            "folded": [event.id, *company.ids],
            "first_ms": first_ms,
            "last_ms": last_ms,
            "kinds": kinds(every),
        },
        links=worst.links,
    )


def shown(event: Event, company: Company, words: Words) -> list[str]:
    """The deliveries whose events the message shows."""
    found = sorted_lines(as_found(one) for one in (*company.alike, own(event, words)))
    return [one.newest for one in found[:LINES] if one.newest]


def as_found(one: Alike) -> Alike:
    """As it is told: a good run whose metric fell is trouble."""
    return replace(one, kind=one.found, severity=severity_of(one.severity, one.found)) if one.found else one


def own(event: Event, words: Words) -> Alike:
    """The message's own event, as one of many."""
    is_vague = event.kind in ("alert", "alert.resolved", "other")
    return Alike(
        event.pipeline,
        event.kind,
        words.kind,
        event.type if is_vague else "",
        "" if event.pipeline else event.source,
        event.severity,
        1,
        event.time_ms,
        event.time_ms,
    )


def sorted_lines(every: Iterable[Alike]) -> list[Line]:
    """The worst first, and of those the newest."""
    found: dict[tuple[str, ...], Line] = {}
    for one in every:
        say = words_of(one.kind, one.severity)
        key = (one.pipeline, one.source, one.kind, one.type, say.emoji)
        known = found.get(key, Line(say, 0, 0, ""))
        found[key] = Line(say, known.count + one.count, max(known.last_ms, one.last_ms), max(known.newest, one.newest))
    return sorted(found.values(), key=lambda of: (TONES.index(of.say.tone), -of.last_ms, of.newest))


def worded(of: Line, newest: Event, words: Words, *, dated: bool) -> str:
    """`❌ etl/orders failed: exit status 3 (3×, last 14:02)`."""
    message = compose(newest, None, words=words)
    at = clock(of.last_ms, dated=dated)
    if of.count == 1:
        clause, cause, often = message.title, message.cause or line(words.note), at
    else:
        newest = replace(newest, kind=words.kind or newest.kind)
        clause, _ = headline(replace(newest, title=""), of.say, named(newest), "", failed_stage(newest, None))
        cause, often = message.cause or line(words.title or newest.title or words.note), f"{of.count:,}×, last {at}"
    clause = cut(clause, NAME_CHARS + 40)
    if cause and cause not in clause:
        clause += f": {cut(cause, LINE_CHARS - len(clause) - 30)}"
    return f"{of.say.emoji} {clause} ({often})"


def counted(every: Sequence[Alike]) -> list[str]:
    """`5 failed`, `2 succeeded`: the worst first. Nothing where there is nothing but events of unknown kinds."""
    totals: dict[str, int] = {}
    for one in sorted(every, key=lambda one: (TONES.index(words_of(one.kind, one.severity).tone), one.kind)):
        said = COUNTED.get(one.kind, "other")
        totals[said] = totals.get(said, 0) + one.count
    if list(totals) == ["other"]:
        return []
    return [f"{count:,} {said if count > 1 else single(said)}" for said, count in totals.items()]


def single(said: str) -> str:
    """For one of them: `1 alert`, `1 step failed`."""
    return "alert" if said == "alerts" else said.replace("steps ", "step ")


def kinds(every: Iterable[Alike]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in every:
        totals[one.kind] = totals.get(one.kind, 0) + one.count
    return dict(sorted(totals.items()))


def clock(ms: int, *, dated: bool) -> str:
    """`14:02`, with the day where there are several: `21 Nov 14:02`."""
    at = datetime.fromtimestamp(min(max(ms, 0), 253_402_300_799_999) / 1000, UTC)
    return f"{at.day} {at:%b %H:%M}" if dated else f"{at:%H:%M}"
