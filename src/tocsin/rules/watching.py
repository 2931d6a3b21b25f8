"""The clock is watched while runs go on: which timers an event sets and drops, and what a timer that is due says.

A timer is a reason to look, no more: what is so is read from the run when it is due. So an event costs nothing where it
changes nothing, and what comes late, twice or in another order cannot make a false alarm.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.noise import Watch
from tocsin.model.rule import Rule
from tocsin.model.run import Run
from tocsin.model.world import Timer, World
from tocsin.provider_kit.text import duration, line, shared_key
from tocsin.rules import run_state
from tocsin.rules.index import HEARTBEAT, CompiledRule, RuleIndex
from tocsin.rules.own import STILL_FAILING, Finding, owner_of
from tocsin.rules.windows import spoken

GRACE_MS = 60_000
"""What is late has so long to come before its absence means anything: clients try again after seconds, not minutes."""
LATE_MS = 10_000
"""An event that takes longer to get here was held up somewhere, and others with it."""
PERCENTILE = 95


class Due(Struct, frozen=True):
    """What a timer leads to: an event, and when to look again."""

    finding: Finding | None = None
    timers: tuple[Timer, ...] = ()


NOTHING = Due()


def wants_history(rule: CompiledRule) -> bool:
    """Whether it compares a run with the pipeline's last good ones."""
    return rule.rule.noise.watch is not None and rule.rule.noise.watch.exceeded_p95_of is not None


def of_runs(rule: Rule) -> Rule:
    """The rule for every event of the runs that it watches: how `watches` has it."""
    return replace(rule, event_types=("*", HEARTBEAT), condition="")


def looking(watches: RuleIndex, index: RuleIndex, event: Event, labels: Mapping[str, str]) -> list[CompiledRule]:
    """The rules that look at the clock for this event's run. `labels` are the run's, which may have come with another
    event."""
    asked = event if event.labels == labels else replace(event, labels=dict(labels))
    found = (index.by_id.get(compiled.rule.id) for compiled in watches.candidates(asked))
    return [compiled for compiled in found if compiled is not None]


def watch(world: World, rules: Sequence[CompiledRule], event: Event, before: Run | None, run: Run, now_ms: int) -> None:
    """Sets and drops the timers of these rules, which want this run's pipeline. `before` is the run before this event,
    None where it is the first."""
    is_late = now_ms - event.time_ms > LATE_MS
    for compiled in rules:
        rule, wanted = compiled.rule, compiled.rule.noise.watch
        if wanted is None or not fits(compiled, run.about.labels):
            continue
        if run.is_over:
            if before is not None and not before.is_over:
                for kind in kinds_of(wanted):
                    world.drop_timer(timer_id(kind, rule, run))
            if is_short(wanted, run) and (before is None or not is_short(wanted, before)):
                world.set_timer(timer_of("shorter", rule, run, now_ms + (GRACE_MS if is_late else 0)))
        elif is_news(rule, before, run):
            limit = limit_ms(wanted, world.history.get(run.pipeline, ()))
            if limit is not None:
                due_ms = since_ms(run) + limit
                world.set_timer(timer_of("exceeded", rule, run, max(due_ms, now_ms + GRACE_MS) if is_late else due_ms))
            if wanted.stalled_s is not None:
                world.set_timer(timer_of("stalled", rule, run, now_ms + int(wanted.stalled_s * 1000)))


def fits(compiled: CompiledRule, labels: Mapping[str, str]) -> bool:
    return all(name in labels and wanted(labels[name]) for name, wanted in compiled.labels)


def is_news(rule: Rule, before: Run | None, run: Run) -> bool:
    """Whether this event could change when the rule has to look: on the way of a run, hardly any does."""
    return (
        before is None
        or before.started_ms != run.started_ms
        or before.about.labels != run.about.labels
        or rule.updated_ms >= before.updated_ms
    )


def kinds_of(wanted: Watch) -> list[str]:
    found = ["exceeded"] if wanted.exceeded_s is not None or wanted.exceeded_p95_of is not None else []
    return [*found, "stalled"] if wanted.stalled_s is not None else found


def timer_id(kind: str, rule: Rule, run: Run) -> str:
    return f"{kind}:{rule.id}:{run.id}"


def timer_of(kind: str, rule: Rule, run: Run, due_ms: int) -> Timer:
    return Timer(timer_id(kind, rule, run), kind, rule.id, due_ms, {"run": run.id})


def since_ms(run: Run) -> int:
    """Since when it has been going on: its start, or the first that was heard of it."""
    return run.about.from_ms if run.started_ms is None else run.started_ms


def is_short(wanted: Watch, run: Run) -> bool:
    took = run.duration_ms
    return (
        wanted.shorter_s is not None
        and run.status == "succeeded"
        and took is not None
        and took < wanted.shorter_s * 1000
    )


def limit_ms(wanted: Watch, history: Sequence[int]) -> int | None:
    """How long a run may take: the least of what the rule says. `history`: how long the last good runs took, newest
    first. None where there is nothing to go by yet."""
    limits = [] if wanted.exceeded_s is None else [int(wanted.exceeded_s * 1000)]
    usual = usual_ms(wanted, history)
    return min([*limits, usual]) if usual is not None else min(limits, default=None)


def usual_ms(wanted: Watch, history: Sequence[int]) -> int | None:
    """The percentile of the last good runs, times the factor: the nearest rank, so that it is a run that there was."""
    if wanted.exceeded_p95_of is None:
        return None
    last = sorted(history[: wanted.exceeded_p95_of])
    if len(last) < wanted.least:
        return None
    return int(last[math.ceil(len(last) * PERCENTILE / 100) - 1] * wanted.factor)


def due(
    rule: Rule, timer: Timer, run: Run, history: Sequence[int], *, newest_attempt: int, back_ms: int, now_ms: int
) -> Due:
    """What a run's timer says now. `newest_attempt`: of the run's; one that another follows is over, whether it said so
    or not. `back_ms`: when Tocsin was last back after a time in which it heard nothing."""
    wanted = rule.noise.watch
    if wanted is None:
        return NOTHING
    if timer.kind == "shorter":
        return Due(too_short(rule, wanted, run)) if is_short(wanted, run) else NOTHING
    if run.is_over or newest_attempt > run.attempt:
        return NOTHING
    if timer.kind == "stalled":
        if wanted.stalled_s is None:
            return NOTHING
        due_ms = max(run.updated_ms, back_ms) + int(wanted.stalled_s * 1000)
        return Due(stalled(rule, wanted.stalled_s, run)) if due_ms <= now_ms else later(timer, due_ms)
    limit = limit_ms(wanted, history)
    if limit is None:
        return NOTHING
    due_ms = since_ms(run) + limit
    return Due(exceeded(rule, wanted, run, limit, history)) if due_ms <= now_ms else later(timer, due_ms)


def later(timer: Timer, due_ms: int) -> Due:
    return Due(None, (replace(timer, due_ms=due_ms),))


def exceeded(rule: Rule, wanted: Watch, run: Run, limit: int, history: Sequence[int]) -> Finding:
    said = ""
    if limit == usual_ms(wanted, history):
        times = "" if wanted.factor == 1 else f"{wanted.factor:g} times "
        count = len(history[: wanted.exceeded_p95_of])
        said = f"The limit is {times}what {PERCENTILE}% of its last {count} good runs took at the most."
    about = {"due_at": iso(since_ms(run) + limit), "limit_s": limit / 1000}
    return of_run("run.exceeded", "run.exceeded", rule, run, "", about, said)


def stalled(rule: Rule, stalled_s: float, run: Run) -> Finding:
    said = f"{name_of(run)} has not been heard of for {spoken(stalled_s)}"
    return of_run("run.stalled", "run.exceeded", rule, run, said, {})


def too_short(rule: Rule, wanted: Watch, run: Run) -> Finding:
    least_s = wanted.shorter_s or 0
    said = f"{name_of(run)} took only {duration(run.duration_ms or 0)}; at least {spoken(least_s)} were expected"
    return of_run("run.shorter", "run.warning", rule, run, said, {"least_s": least_s})


def of_run(
    type_: str, kind: str, rule: Rule, run: Run, title: str, about: dict[str, Any], message: str = ""
) -> Finding:
    """A finding about a run. It carries what the run's own events said, so that it reaches those whom they reach."""
    data = {"watch": rule.id} | about | ({"attempt": run.attempt} if run.attempt > 1 else {})
    return Finding(
        id=f"{type_}:{rule.id}:{run.id}",
        type=type_,
        kind=kind,
        title=title,
        message=message,
        pipeline=run.pipeline,
        run_id=run.run_id,
        labels=run.about.labels,
        data=data,
        links=run.about.links,
    )


def name_of(run: Run) -> str:
    return line(run.pipeline) or "A run"


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def due_ms_of(event: Event) -> int:
    """When the run that a finding is about should have ended; 0 where it does not say."""
    found = event.data.get("due_at")
    try:
        return int(datetime.fromisoformat(found).timestamp() * 1000) if isinstance(found, str) else 0
    except (ValueError, OverflowError, OSError):  # not of our making
        return 0


def noted(index: RuleIndex, event: Event, run: Run, reached: Iterable[str]) -> Run:
    """The run with what the clock found of it, where the event tells of that. `reached`: the endpoints that hear of
    it."""
    owner = index.by_id.get(owner_of(event))
    if owner is None or event.kind not in ("run.exceeded", "run.missed"):
        return run
    is_told = not set(reached).isdisjoint(owner.rule.endpoint_ids)
    return run_state.overdue(run, due_ms_of(event), (owner.rule.id,) if is_told else ())


def owed(watches: RuleIndex, asked: Collection[CompiledRule], event: Event, before: Run | None) -> list[CompiledRule]:
    """The rules that told that this run takes too long, and are not among those `asked` about its end: who was told
    that it is late is told when it is over. `before` is the run before it ended."""
    if before is None or not before.about.told:
        return []
    known = {compiled.rule.id for compiled in asked}
    told = (watches.by_id.get(rule_id) for rule_id in before.about.told if rule_id not in known)
    found = [rule for rule in told if rule is not None and rule.pipelines(event.pipeline)]
    return sorted(found, key=lambda rule: rule.order)


def reminder(timer: Timer) -> Finding:
    """A rule looks again at trouble of which it told: whether it still goes on, planning decides."""
    key, data = str(timer.data.get("key", "")), timer.data
    return Finding(
        id=f"again:{timer.rule_id}:{shared_key(key)}:{timer.due_ms}",
        type=STILL_FAILING,
        kind="other",
        severity=data.get("severity", "error"),
        title=f"{data.get('name', '')} is still failing",
        pipeline=data.get("pipeline", ""),
        labels=data.get("labels", {}),
        data={"watch": timer.rule_id, "key": key, "rule": data.get("rule", ""), "name": data.get("name", "")},
    )
