"""Timers: what is due becomes an event, by intake's door, under an id made of what it tells. So it happens once, over
crashes and several processes, and nothing downstream knows it from any other event.

Silence means nothing where nobody listened. After a time in which no Tocsin looked at the clock (a restart, a machine
that slept, a clock that was set), or while events come late, what is due waits a little, so that what was held up can
come in first.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from tocsin.model.errors import NotFound, Refusal
from tocsin.model.rule import Rule
from tocsin.model.world import Timer
from tocsin.rules import scheduling, watching
from tocsin.rules.own import OWN, Finding
from tocsin.rules.watching import GRACE_MS, NOTHING, Due
from tocsin.sources.draft import Draft
from tocsin.store import config, log, noise
from tocsin.store.database import Database

AWAY_MS = 30_000
"""Nobody looked for so long: whatever was meant to be heard in that time may not have been."""
NOTED_MS = 10_000
"""That somebody looked is written down this often."""
MERGED_MS = 600_000
"""Absences so close to each other count as one."""
DELAYED_MS = 30_000
"""Events that all take longer than that to get here were held up."""
MOST_HELD_MS = 600_000
"""A timer waits no longer than that for events that come late: a source may always be late."""
AT_ONCE = 500
MOST_ROUNDS = 20
MENDED_MS = 600_000
"""A timer that cannot be read is looked at again after so long."""

logger = structlog.get_logger()


class Accept(Protocol):
    """Intake's door."""

    async def __call__(self, tenant_id: str, drafts: list[Draft], *, only_rule: Rule | None = None) -> Any: ...


class Timers:
    """`seen_ms` is when this process looked at the clock last; what all of them know of that is in the store."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self.clock_ms = clock_ms
        self.seen_ms = 0

    async def fire(self, db: Database, _: int, accept: Accept) -> None:
        """One round; safe to run in several processes at once."""
        now_ms, away = await self.looked(db)
        if now_ms < away[1] + GRACE_MS:
            return
        for _ in range(MOST_ROUNDS):
            due = await noise.due_timers(db, now_ms, AT_ONCE)
            if not due:
                return
            tenants: dict[str, list[Timer]] = defaultdict(list)
            for tenant_id, timer in due:
                tenants[tenant_id].append(timer)
            for tenant_id, timers in tenants.items():
                try:
                    await fire(db, tenant_id, timers, away, now_ms, accept)
                except Refusal as refusal:  # intake is behind: what waits there comes first
                    logger.warning("timers.postponed", tenant=tenant_id, reason=refusal.detail)
                    return

    async def looked(self, db: Database) -> tuple[int, tuple[int, int]]:
        """Looks at the clock, and notes that somebody did. Returns the time, and from when to when nobody looked, the
        last time it was so; a clock that was set counts as that."""
        was = await noise.sweeps(db)
        now_ms, seen_ms = self.clock_ms(), self.seen_ms
        self.seen_ms = now_ms
        if was is None:
            await noise.note_sweep(db, None, noise.Sweeps(now_ms))
            return now_ms, (0, 0)
        last_ms = max(was.at_ms, seen_ms)
        if abs(now_ms - last_ms) <= AWAY_MS:
            if now_ms - was.at_ms >= NOTED_MS:
                await noise.note_sweep(db, was, noise.Sweeps(now_ms, was.away))
            return now_ms, was.away
        since_ms = min(last_ms, now_ms)
        if was.away[0] <= since_ms <= was.away[1] + MERGED_MS:
            since_ms = was.away[0]
        away = (since_ms, now_ms)
        await noise.note_sweep(db, was, noise.Sweeps(now_ms, away))
        logger.info("timers.was_away", seconds=round((now_ms - last_ms) / 1000))
        return now_ms, away


async def fire(
    db: Database, tenant_id: str, timers: Sequence[Timer], away: tuple[int, int], now_ms: int, accept: Accept
) -> None:
    """What these timers of one tenant lead to. Raises Refusal where intake takes nothing: all stays as it is."""
    await accept(tenant_id, [])  # returns once everything is written that waited when it was called
    delay_ms = await noise.delay_ms(db, tenant_id, now_ms - GRACE_MS)
    rules: dict[str, Rule | None] = {}
    found: list[tuple[Timer, Due]] = []
    for timer in timers:
        if timer.rule_id not in rules:
            rules[timer.rule_id] = await active_rule(db, tenant_id, timer.rule_id)
        rule = rules[timer.rule_id]
        if delay_ms > DELAYED_MS and now_ms < held_since(timer) + MOST_HELD_MS:
            data = timer.data | {"held_since_ms": held_since(timer)}
            found.append((timer, Due(None, (replace(timer, due_ms=now_ms + GRACE_MS, data=data),))))
            continue
        try:
            found.append((timer, await due(db, tenant_id, rule, timer, away, now_ms) if rule else NOTHING))
        except Exception:  # whatever one timer says, it must not stop the others
            logger.exception("timers.failed", timer=timer.id)
            found.append((timer, Due(None, (replace(timer, due_ms=now_ms + MENDED_MS),))))
    drafts = [as_draft(one.finding) for _, one in found if one.finding is not None]
    if drafts:
        await accept(tenant_id, drafts)
    async with db.transaction() as tx:
        for timer, one in found:
            if await noise.end_timer(tx, tenant_id, timer):
                await noise.put_timers(tx, tenant_id, one.timers)


def held_since(timer: Timer) -> int:
    return int(timer.data.get("held_since_ms", timer.due_ms))


async def active_rule(db: Database, tenant_id: str, rule_id: str) -> Rule | None:
    try:
        rule = await config.get_rule(db, tenant_id, rule_id)
    except NotFound:
        return None
    return rule if rule.is_active else None


async def due(db: Database, tenant_id: str, rule: Rule, timer: Timer, away: tuple[int, int], now_ms: int) -> Due:
    """What a timer says, from what is known now."""
    if timer.kind == "again":
        return Due(watching.reminder(timer))
    if timer.kind in ("start", "finish"):
        if rule.noise.schedule is None or not rule.pipelines:
            return NOTHING
        since_ms, until_ms = scheduling.since_ms(rule, timer), now_ms + scheduling.EARLY_MS
        seen = scheduling.Seen(
            await noise.started_runs(db, tenant_id, rule.pipelines[0], since_ms, until_ms),
            await noise.ended_unstarted(db, tenant_id, rule.pipelines[0], since_ms, until_ms),
            away,
        )
        return scheduling.due(rule, timer, seen, now_ms)
    run = await log.get_run(db, tenant_id, str(timer.data.get("run", "")))
    if run is None or rule.noise.watch is None:
        return NOTHING
    history: tuple[int, ...] = ()
    if rule.noise.watch.exceeded_p95_of is not None and timer.kind == "exceeded":
        history = await noise.history(db, tenant_id, run.pipeline)
    newest_attempt = await noise.newest_attempt(db, run)
    return watching.due(rule, timer, run, history, newest_attempt=newest_attempt, back_ms=away[1], now_ms=now_ms)


def as_draft(finding: Finding) -> Draft:
    return Draft(
        id=finding.id,
        source=OWN,
        type=finding.type,
        kind=finding.kind,
        severity=finding.severity,
        title=finding.title[:512],
        message=finding.message,
        pipeline=finding.pipeline,
        run_id=finding.run_id,
        labels=finding.labels,
        data=finding.data,
        links=finding.links,
    )
