"""Schedules: whether a pipeline's runs start and end when they should.

A schedule has a timer for the next start and, where ends count too, one for the next end. Nothing is done when a run
starts or ends: once the grace is over, the runs say whether there was one. A start that nobody could have heard of,
since Tocsin was away when it was due, is not missed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from tocsin.model.noise import Schedule
from tocsin.model.rule import Rule
from tocsin.model.run import Run
from tocsin.model.world import Timer
from tocsin.provider_kit.text import duration, line
from tocsin.rules.cron import next_ms
from tocsin.rules.own import Finding
from tocsin.rules.pattern import is_exact
from tocsin.rules.watching import NOTHING, Due, iso, of_run
from tocsin.rules.windows import spoken

EARLY_MS = 60_000
"""A run that starts so long before one is due is the one that is due: clocks differ."""
BEHIND_MS = 60_000
"""What should have been looked at before then is not looked at any more: the next one is."""
MINUTE_MS = 60_000


class Seen(Struct, frozen=True):
    """What is known when a schedule's timer is due.

    runs: those of the pipeline that started since `since_ms`, the newest start first. ended_ms: the newest end of a run
    whose start nobody reported, 0 for none. away: from when to when nothing could be heard, the last time it was so.
    """

    runs: Sequence[Run] = ()
    ended_ms: int = 0
    away: tuple[int, int] = (0, 0)


def since_ms(rule: Rule, timer: Timer) -> int:
    """Runs that started before then are of no concern to this timer."""
    schedule = rule.noise.schedule
    at_ms = int(timer.data.get("at_ms", 0))
    return at_ms - EARLY_MS if schedule is not None and schedule.cron is not None and at_ms else 0


def due(rule: Rule, timer: Timer, seen: Seen, now_ms: int) -> Due:
    """What a schedule's timer says now, and when to look again. A timer without a time, as it is left where a rule is
    saved, asks for the first ones."""
    schedule = rule.noise.schedule
    if schedule is None or not rule.pipelines:
        return NOTHING
    if "at_ms" not in timer.data:
        return Due(None, first(rule, schedule, seen, int(timer.data.get("since_ms", now_ms))))
    at_ms = int(timer.data["at_ms"])
    if timer.kind == "start":
        look = start_due if schedule.cron is not None else interval_due
        return look(rule, schedule, at_ms, seen, now_ms)
    if schedule.cron is None:
        return interval_finish_due(rule, schedule, seen, now_ms)
    return finish_due(rule, schedule, at_ms, seen, now_ms)


def first(rule: Rule, schedule: Schedule, seen: Seen, since: int) -> tuple[Timer, ...]:
    """The timers of a schedule that holds since then."""
    if schedule.cron is not None:
        at_ms = next_ms(schedule.cron, schedule.time_zone, since)
        return (start_timer(rule, schedule, at_ms), *finish_timer(rule, schedule, at_ms))
    at_ms = last_start(seen) + every_ms(schedule)
    at_ms = at_ms if at_ms >= since else since + every_ms(schedule)
    return (start_timer(rule, schedule, at_ms), *finish_timer(rule, schedule, since))


def start_timer(rule: Rule, schedule: Schedule, at_ms: int) -> Timer:
    due_ms = at_ms + int(schedule.start_within_s * 1000)
    return Timer(f"start:{rule.id}", "start", rule.id, due_ms, {"at_ms": at_ms})


def finish_timer(rule: Rule, schedule: Schedule, at_ms: int) -> tuple[Timer, ...]:
    """None where ends do not count."""
    if schedule.finish_within_s is None:
        return ()
    return (Timer(f"finish:{rule.id}", "finish", rule.id, at_ms + finish_ms(schedule), {"at_ms": at_ms}),)


def every_ms(schedule: Schedule) -> int:
    return int((schedule.every_s or 0) * 1000)


def finish_ms(schedule: Schedule) -> int:
    return int((schedule.finish_within_s or 0) * 1000)


def next_at(schedule: Schedule, at_ms: int, within_ms: int, now_ms: int) -> int:
    """What cron has due after this one; what should have been looked at long ago is passed over."""
    return next_ms(schedule.cron or "", schedule.time_zone, max(at_ms, now_ms - within_ms - BEHIND_MS))


def earliest(schedule: Schedule, at_ms: int) -> int:
    """A run that starts since then counts for the one due at `at_ms`, and not for the one before."""
    gap_ms = next_ms(schedule.cron or "", schedule.time_zone, at_ms) - at_ms
    return at_ms - min(EARLY_MS, gap_ms // 2)


def start_due(rule: Rule, schedule: Schedule, at_ms: int, seen: Seen, now_ms: int) -> Due:
    within_ms = int(schedule.start_within_s * 1000)
    timers = (start_timer(rule, schedule, next_at(schedule, at_ms, within_ms, now_ms)),)
    from_ms = earliest(schedule, at_ms)
    if last_start(seen) >= from_ms or was_away(seen, from_ms, at_ms + within_ms):
        return Due(None, timers)
    ago = spoken(max(MINUTE_MS, (now_ms - at_ms) // MINUTE_MS * MINUTE_MS) / 1000)
    said = f"{name_of(rule)} should have started at {clock(at_ms, now_ms, schedule)}, {ago} ago"
    return Due(missed(rule, at_ms, said), timers)


def interval_due(rule: Rule, schedule: Schedule, at_ms: int, seen: Seen, now_ms: int) -> Due:
    within_ms, last_ms = int(schedule.start_within_s * 1000), last_start(seen)
    at_ms = max(at_ms, last_ms + every_ms(schedule))
    if at_ms + within_ms > now_ms:
        return Due(None, (start_timer(rule, schedule, at_ms),))
    if was_away(seen, at_ms - EARLY_MS, at_ms + within_ms):
        return Due(None, (start_timer(rule, schedule, seen.away[1] + every_ms(schedule)),))
    last = f"the last start was at {clock(last_ms, now_ms, schedule)}" if last_ms else "no start is known"
    said = f"{name_of(rule)} should have started by {clock(at_ms, now_ms, schedule)}; {last}"
    return Due(missed(rule, at_ms, said), (start_timer(rule, schedule, max(at_ms + every_ms(schedule), now_ms)),))


def finish_due(rule: Rule, schedule: Schedule, at_ms: int, seen: Seen, now_ms: int) -> Due:
    """Where no run is known, its start was missed: that was said."""
    timers = finish_timer(rule, schedule, next_at(schedule, at_ms, finish_ms(schedule), now_ms))
    from_ms = earliest(schedule, at_ms)
    runs = [run for run in seen.runs if (run.started_ms or 0) >= from_ms]
    if not runs or seen.ended_ms >= from_ms or any(run.is_over for run in runs):
        return Due(None, timers)
    return Due(unfinished(rule, schedule, runs[0], at_ms + finish_ms(schedule), now_ms), timers)


def interval_finish_due(rule: Rule, schedule: Schedule, seen: Seen, now_ms: int) -> Due:
    """The newest run must have ended so long after its start; the next one cannot be late before it could begin."""
    newest = seen.runs[0] if seen.runs else None
    if newest is None or newest.is_over:
        return Due(None, finish_timer(rule, schedule, now_ms))
    end_ms = (newest.started_ms or 0) + finish_ms(schedule)
    if end_ms > now_ms:
        return Due(None, finish_timer(rule, schedule, newest.started_ms or 0))
    return Due(unfinished(rule, schedule, newest, end_ms, now_ms), finish_timer(rule, schedule, now_ms))


def last_start(seen: Seen) -> int:
    """0 where none is known."""
    return max(seen.ended_ms, seen.runs[0].started_ms or 0 if seen.runs else 0)


def was_away(seen: Seen, from_ms: int, to_ms: int) -> bool:
    return seen.away[0] < to_ms and seen.away[1] > from_ms


def missed(rule: Rule, at_ms: int, said: str) -> Finding:
    return Finding(
        id=f"run.missed:{rule.id}:{at_ms}",
        type="run.missed",
        kind="run.missed",
        title=said,
        pipeline=rule.pipelines[0],
        labels={name: value for name, value in rule.labels.items() if is_exact(value)},
        data={"watch": rule.id, "due_at": iso(at_ms)},
    )


def unfinished(rule: Rule, schedule: Schedule, run: Run, end_ms: int, now_ms: int) -> Finding:
    so_long = duration(now_ms - (run.started_ms or now_ms))
    said = (
        f"{name_of(rule)} should have ended by {clock(end_ms, now_ms, schedule)}; it is still running after {so_long}"
    )
    return of_run("run.overdue", "run.missed", rule, run, said, {"due_at": iso(end_ms)})


def name_of(rule: Rule) -> str:
    return line(rule.pipelines[0])


def clock(ms: int, now_ms: int, schedule: Schedule) -> str:
    """`02:00 UTC`, as the clocks of the schedule show it; with the day, where that is another one."""
    zone = ZoneInfo(schedule.time_zone)
    then, now = (datetime.fromtimestamp(one / 1000, UTC).astimezone(zone) for one in (ms, now_ms))
    shown = "%H:%M" if then.date() == now.date() else "%Y-%m-%d %H:%M"
    return f"{then:{shown}} {schedule.time_zone}"
