"""Windows: whether there is trouble, judged over many events and not by one.

Pure arithmetic over what the state remembers. When people are told is decided in telling.py.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.noise import Failures, Metric, Noise, SuccessRate
from tocsin.model.world import RuleState
from tocsin.provider_kit.text import duration, line
from tocsin.rules.incident import CLOSES, OPENS

KEPT = 500
"""Runs remembered, at the most."""
LEAST = 5
"""Without a number of runs to look at, so many must be known before a share of them says anything."""

Recent = tuple[tuple[int, int], ...]


class Found(Struct, frozen=True):
    """What an event means.

    state: with the event counted. trouble: whether there is any now. since_ms: when it began. said: the finding in
    words. title: the finding with the name of what it is about; "" where the event's own title says it all. good: the
    event itself is good news, so that trouble which goes on is not told with it. anew: there was trouble before, and
    this is more: it is told, too.
    """

    state: RuleState
    trouble: bool
    said: str
    since_ms: int = 0
    title: str = ""
    good: bool = False
    anew: bool = False


def find(noise: Noise, state: RuleState, event: Event, at_ms: int) -> Found | None:
    """None: the event does not count. One that is older than the newest known is counted at its place in time."""
    if isinstance(noise.window, Metric):
        return of_metric(noise.window, state, event, at_ms)
    good = is_good(event)
    if good is None or (noise.window is not None and not is_whole(event)):
        return None
    if noise.window is None:
        return of_change(state, good, at_ms)
    if isinstance(noise.window, SuccessRate):
        return of_rate(noise.window, state, good, at_ms, name_of(event))
    if noise.window.within_s is None:
        return of_row(noise.window, state, good, at_ms, name_of(event))
    return of_span(noise.window, noise.window.within_s, state, good, at_ms, name_of(event))


def is_good(event: Event) -> bool | None:
    """Good or bad news, None for neither."""
    if event.kind in CLOSES:
        return True
    return False if event.kind in OPENS else None


def is_whole(event: Event) -> bool:
    """Not about a part of a run: of those that have one, its end counts, and nothing on the way there."""
    return not event.run_id or event.kind not in ("stage.failed", "run.exceeded", "safety.rollback")


def of_change(state: RuleState, good: bool, at_ms: int) -> Found:
    """Every failure is trouble until the next success."""
    if good:
        return Found(state, False, "no change: it was not failing")
    if at_ms >= (state.since_ms or state.newest_ms):
        state = replace(state, row=state.row + 1)
    return Found(state, True, "the first failure", at_ms)


def of_row(window: Failures, state: RuleState, good: bool, at_ms: int, name: str) -> Found:
    """`count` in a row. So many are remembered; how long the row is beyond that is only counted."""
    recent = inserted(state.recent, at_ms, good)[-min(window.count, KEPT) :]
    if 1 in (was_good for _, was_good in recent):
        row = [was_good for _, was_good in reversed(recent)].index(1)
    else:
        row = state.row + (not good and at_ms >= recent[0][0])
    state = replace(state, recent=recent, row=row)
    if good:
        return Found(state, False, f"no failures in a row; {window.count} are told")
    if row < window.count and not state.since_ms:
        return Found(state, False, f"{row} of {window.count} failures in a row")
    since_ms = recent[max(0, len(recent) - row)][0]
    said = f"{failures(row)} in a row"
    return Found(state, True, said, since_ms, f"{name}: {said}" if row > 1 else "")


def of_span(window: Failures, within_s: float, state: RuleState, good: bool, at_ms: int, name: str) -> Found:
    """`count` within a span, in a row or not. Only failures are remembered, so many of them."""
    within_ms = int(within_s * 1000)
    told = f"{failures(window.count)} within {spoken(within_s)}"
    if good:
        going_on = bool(state.since_ms) and is_full(window, state.recent, at_ms)
        return Found(state, going_on, f"{told} are told", state.since_ms, good=True)
    before = bool(state.recent) and is_full(window, state.recent, state.recent[-1][0])
    recent = inserted(state.recent, at_ms, good)[-window.count :]
    newest_ms = recent[-1][0]
    near = sum(ms >= newest_ms - within_ms for ms, _ in recent)
    full = is_full(window, recent, newest_ms)
    anew = full and not before
    state = replace(state, recent=recent, row=near if anew or not state.since_ms else state.row + 1)
    if not full and not state.since_ms:
        return Found(state, False, f"{near} of {told}")
    return Found(state, True, told, recent[-near][0], f"{name}: {told}", anew=anew)


def is_full(window: Failures, recent: Recent, at_ms: int) -> bool:
    """Whether at that time enough failures lie within the span."""
    return len(recent) >= window.count and recent[0][0] >= at_ms - int((window.within_s or 0) * 1000)


def of_rate(window: SuccessRate, state: RuleState, good: bool, at_ms: int, name: str) -> Found:
    """The share that succeeded. Only a success ends the trouble, however few runs are left in the span."""
    recent = inserted(state.recent, at_ms, good)[-(window.runs or KEPT) :]
    if window.within_s is not None:
        oldest_ms = recent[-1][0] - int(window.within_s * 1000)
        recent = tuple(one for one in recent if one[0] >= oldest_ms)
    state = replace(state, recent=recent)
    share, said = share_of(recent), rate_said(window, recent)
    if state.since_ms:
        if good and share >= (window.below if window.recover is None else window.recover):
            return Found(state, False, said, title=f"{name} recovered: {said}")
        return Found(state, True, said, state.since_ms, f"{name}: only {said}", good=good)
    if len(recent) < (window.least or window.runs or LEAST):
        return Found(state, False, f"only {counted(len(recent), 'run')} known so far")
    if share < window.below and not good:
        return Found(state, True, said, at_ms, f"{name}: only {said}")
    return Found(state, False, f"{said}; below {percent(window.below)} is told")


def share_of(recent: Recent) -> float:
    return sum(good for _, good in recent) / len(recent)


def rate_said(window: SuccessRate, recent: Recent) -> str:
    """`19 of the last 20 runs succeeded (95%)`."""
    which = f"the last {counted(len(recent), 'run')}"
    if window.runs is None and window.within_s is not None:
        which = f"{counted(len(recent), 'run')} within {spoken(window.within_s)}"
    return f"{sum(good for _, good in recent)} of {which} succeeded ({percent(share_of(recent))})"


def of_metric(window: Metric, state: RuleState, event: Event, at_ms: int) -> Found | None:
    """A bound crossed, or worse than the best so far."""
    value = number_at(event.data, window.name)
    if value is None:
        return None
    title = f"{line(window.name)} of {name_of(event)}"
    best = value if state.best is None else state.best
    worse = (best - value if window.better == "higher" else value - best) / (abs(best) or math.ulp(0))
    if window.drop is not None:
        state = replace(state, best=max(best, value) if window.better == "higher" else min(best, value))
    now, found = shown(value), ""
    if window.above is not None and value > window.above:
        found = f"rose to {now} (above {shown(window.above)})"
    elif window.below is not None and value < window.below:
        found = f"fell to {now} (below {shown(window.below)})"
    elif window.drop is not None and worse > window.drop:
        found = f"{'fell' if value < best else 'rose'} to {now} (best {shown(best)}{change(best, value)})"
    if found:
        return Found(state, True, f"{line(window.name)} {found}", state.since_ms or at_ms, f"{title} {found}")
    back = f"is back to {now}" if state.since_ms else f"is {now}"
    return Found(state, False, f"{line(window.name)} {back}", title=f"{title} {back}")


def number_at(data: Mapping[str, Any], name: str) -> float | None:
    """The number of this name, or at this path of names with dots between them."""
    found: Any = data.get(name)
    if found is None:
        found = data
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) < 1e300 else None  # neither infinite nor "not a number"


def inserted(recent: Recent, at_ms: int, good: bool) -> Recent:
    """With this one at its place in time, after others of the same time."""
    place = bisect_right(recent, at_ms, key=lambda one: one[0])
    return (*recent[:place], (at_ms, int(good)), *recent[place:])


def name_of(event: Event) -> str:
    """What the event is about, for people."""
    return line(event.pipeline or event.source)


def failures(count: int) -> str:
    return counted(count, "failure")


def counted(count: int, thing: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def percent(share: float) -> str:
    return f"{share * 100:.4g}%"


def shown(value: float) -> str:
    """`12,400`, `0.912`."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def change(best: float, value: float) -> str:
    """`, −4.5%`; nothing where the best was nothing."""
    if not best:
        return ""
    return f", {(value - best) / abs(best) * 100:+.1f}%".replace("-", "−")


def spoken(seconds: float) -> str:
    """A span as people say it: `an hour`, `10 minutes`, else `1h 30m`."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            count = int(seconds // length)
            return counted(count, unit) if count > 1 else f"an {unit}" if unit == "hour" else f"a {unit}"
    return duration(seconds * 1000)
