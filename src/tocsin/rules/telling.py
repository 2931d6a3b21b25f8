"""Whether a match is told: windows over many runs, and changes of state.

What is good and bad news is incident.py's: a success or a resolved alert is good; a failure, a missed or overlong run,
a rollback and an alert are bad. Anything else is neither: without a window it is told as it is, with one it is not.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.noise import Failures, Flapping, Metric, Noise, SuccessRate
from tocsin.model.run import Run
from tocsin.model.world import RuleState
from tocsin.provider_kit.text import duration, shared_key
from tocsin.rules.fold import value_of
from tocsin.rules.hours import utc
from tocsin.rules.windows import Found, failures, find, is_full, name_of, rate_said, spoken

KEY_CHARS = 400
"""A state's key stands in an index of the store, whose entries are short."""


class Verdict(Struct, frozen=True):
    """`tell` with the words that say why now ("3 failures in a row"), or quiet with the reason.

    title replaces the message's, where the rule's own finding is the news. note is its small print. recovered: trouble
    that was told of is over. again_ms: look again then, though nothing happens (still failing), 0 for never.
    """

    act: Literal["tell", "quiet"]
    reason: str = ""
    title: str = ""
    note: str = ""
    recovered: bool = False
    again_ms: int = 0


TELL = Verdict("tell")


def state_key(noise: Noise, event: Event) -> str:
    """What of the event the rule keeps apart: by pipeline, or by what it groups by.

    Of that only what good and bad news of one thing have in common counts: the pipeline, the source, labels. A failure
    and the success that ends it differ in run, type and severity. Alerts are told apart by what they are about.
    """
    by = noise.group.by if noise.group is not None else ()
    shared = [f"{name}={value_of(event, name)}" for name in by if is_shared(name)]
    key = "\x1f".join(shared) or event.pipeline or event.source
    if noise.window is None and event.kind.startswith("alert"):
        fingerprint = event.data.get("fingerprint")
        about = fingerprint if isinstance(fingerprint, str) else event.labels.get("alertname", "")
        key += f"\x1falert={about}"
    return key if len(key) <= KEY_CHARS else f"{key[: KEY_CHARS - 33]}~{shared_key(key)}"


def is_shared(name: str) -> bool:
    return name in ("pipeline", "source") or name.startswith("labels.")


def after(noise: Noise, state: RuleState, event: Event, run: Run | None, now_ms: int) -> tuple[RuleState, Verdict]:
    """What the rule knows after this event, and whether to tell of it. `run` is the event's run with this event in it.

    An event that is older than the newest known is counted at its place, and changes nothing else. A time in the future
    is taken as now: it must not make everything old that comes before it.
    """
    if not noise.is_stateful:
        return state, TELL
    if run is not None and event.kind in ("run.failed", "run.succeeded") and (run.finished_ms or 0) > event.time_ms:
        return state, quiet(noise, state, f"the run ended later, at {utc(run.finished_ms or 0)}: it {run.status}")
    at_ms = max(1, min(event.time_ms, now_ms))  # 0 would be "no time" in the state
    found = find(noise, state, event, at_ms)
    if found is None:
        return state, uncounted(noise, event)
    if at_ms < state.newest_ms:
        known = replace(found.state, newest_ms=state.newest_ms)
        return known, quiet(noise, known, f"it came late: what happened at {utc(state.newest_ms)} is known already")
    return settled(noise, state, found, at_ms, now_ms, name_of(event))


def uncounted(noise: Noise, event: Event) -> Verdict:
    """Neither good nor bad news. What the rule's own watch and schedule find out is told, whatever its window says."""
    if noise.window is None:
        return TELL
    if (event.kind == "run.exceeded" and noise.watch) or (event.kind == "run.missed" and noise.schedule):
        return TELL
    if isinstance(noise.window, Metric):
        return Verdict("quiet", f"there is no number {noise.window.name} in its data")
    return Verdict("quiet", f"{event.kind} does not count for the rule's window: the ends of runs do")


def settled(
    noise: Noise, was: RuleState, found: Found, at_ms: int, now_ms: int, name: str
) -> tuple[RuleState, Verdict]:
    """The state after what was found, and what is told of it."""
    state = replace(found.state, newest_ms=at_ms)
    if found.trouble and found.good:
        return state, quiet(noise, state, f"still in trouble since {utc(state.since_ms)}, though this is good news")
    state, calm = calmed(noise, state, now_ms)
    begins, ends = found.trouble and not was.since_ms, bool(was.since_ms) and not found.trouble
    if begins or found.anew:
        state = replace(state, since_ms=found.since_ms)
    if ends:
        state = replace(state, since_ms=0, row=0)
    if begins or ends:
        flaps = flapping_of(noise)
        if flaps is not None:
            state = replace(state, moved=moved(flaps, state.moved, now_ms))
            if not state.flapping and len(state.moved) >= flaps.changes:
                changes = f"{flaps.changes} changes in {spoken(flaps.within_s)}"
                title, reason = f"{name} is flapping: {changes}", f"flapping: {changes}; quiet until it is steady"
                return tell(noise, replace(state, flapping=True), now_ms, reason, title, "quiet until it is steady")
    if state.flapping:
        return state, quiet(noise, state, f"it is flapping; told at {utc(state.told_ms)}")
    if found.trouble:
        return troubled(noise, state, found, at_ms, now_ms, news=begins or found.anew, calm=calm)
    if not state.told_ms:
        return state, quiet(noise, state, "it recovered; nobody was told that it was failing" if ends else found.said)
    note = recovered(noise, was, at_ms) if ends else "steady again"
    return over(noise, state, found.title if ends else "", note)


def troubled(
    noise: Noise, state: RuleState, found: Found, at_ms: int, now_ms: int, *, news: bool, calm: bool
) -> tuple[RuleState, Verdict]:
    """Told when it is news, when it was not told before, when it flapped and is steady now, and every `renotify_s`."""
    again_ms = next_look(noise, state)
    going_on = still(noise, state, at_ms)
    if calm:
        note = "no longer flapping" if news else f"no longer flapping: {going_on}"
        return tell(noise, state, now_ms, note, found.title, note)
    if news or not state.told_ms:
        return tell(noise, state, now_ms, found.said, found.title, "" if news else going_on)
    if noise.changes is not None and noise.changes.renotify_s is not None and now_ms >= again_ms:
        return tell(noise, state, now_ms, going_on, found.title, going_on)
    return state, quiet(noise, state, f"still failing since {utc(state.since_ms)}; told at {utc(state.told_ms)}")


def again(noise: Noise, state: RuleState, name: str, now_ms: int) -> tuple[RuleState, Verdict]:
    """The time that a verdict named in `again_ms` has come, and nothing happened. `name`: what it is about."""
    if state.flapping:
        state, calm = calmed(noise, state, now_ms)
        if not calm:
            return state, quiet(noise, state, "flapping")
        if not state.since_ms:
            return over(noise, state, f"{name} is steady again", "it was flapping")
        going_on = still(noise, state, now_ms)
        return tell(noise, state, now_ms, f"no longer flapping: {going_on}", f"{name} is {going_on}", "it was flapping")
    again_ms = next_look(noise, state)
    if not state.since_ms or has_faded(noise, state, now_ms):
        return state, Verdict("quiet", "it does not go on")
    if noise.changes is None or noise.changes.renotify_s is None or now_ms < again_ms:
        return state, quiet(noise, state, "it is not time to say so again")
    going_on = still(noise, state, now_ms)
    return tell(noise, state, now_ms, going_on, f"{name} is {going_on}")


def undone(state: RuleState) -> RuleState:
    """What was last to be told was not: the trouble goes on, and people know what they knew before."""
    return replace(state, told_ms=state.told_before_ms if state.since_ms else 0, told_before_ms=0, flapping=False)


def tell(
    noise: Noise, state: RuleState, now_ms: int, reason: str, title: str = "", note: str = ""
) -> tuple[RuleState, Verdict]:
    state = replace(state, told_ms=now_ms, told_before_ms=state.told_ms)
    return state, Verdict("tell", reason, title, note, again_ms=next_look(noise, state))


def quiet(noise: Noise, state: RuleState, reason: str) -> Verdict:
    return Verdict("quiet", reason, again_ms=next_look(noise, state))


def over(noise: Noise, state: RuleState, title: str, note: str) -> tuple[RuleState, Verdict]:
    """The end of what people were told of."""
    state = replace(state, told_ms=0, told_before_ms=0)
    if noise.changes is not None and not noise.changes.recovered:
        return state, Verdict("quiet", f"{note}; the rule does not tell of recoveries")
    return state, Verdict("tell", note, title, note, recovered=True)


def next_look(noise: Noise, state: RuleState) -> int:
    """When there is something to say though nothing happens; 0 for never."""
    flaps = flapping_of(noise)
    if state.flapping and flaps is not None:
        return state.moved[-1] + int(flaps.within_s * 1000)
    if state.firing and noise.changes is not None and noise.changes.renotify_s is not None:
        return state.told_ms + int(noise.changes.renotify_s * 1000)
    return 0


def flapping_of(noise: Noise) -> Flapping | None:
    return noise.changes.flapping if noise.changes is not None else None


def moved(flaps: Flapping, before: tuple[int, ...], now_ms: int) -> tuple[int, ...]:
    """The changes that count for flapping, with one that happens now."""
    within = [ms for ms in before if ms >= now_ms - int(flaps.within_s * 1000)]
    return (*within, now_ms)[-flaps.changes :]


def calmed(noise: Noise, state: RuleState, now_ms: int) -> tuple[RuleState, bool]:
    """Whether it flapped and has been steady for long enough; the state without the flapping then."""
    if not state.flapping or (flapping_of(noise) is not None and now_ms < next_look(noise, state)):
        return state, False
    return replace(state, flapping=False, moved=()), True


def has_faded(noise: Noise, state: RuleState, now_ms: int) -> bool:
    """Too many failures within a span are no more, once the span is over: there is no end to tell of, and no reason to
    say that it goes on."""
    window = noise.window
    return isinstance(window, Failures) and window.within_s is not None and not is_full(window, state.recent, now_ms)


def still(noise: Noise, state: RuleState, at_ms: int) -> str:
    """`still failing: 7 failures in 3h 10m`."""
    so_long = duration(at_ms - state.since_ms)
    if isinstance(noise.window, SuccessRate):
        return f"still in trouble after {so_long}: {rate_said(noise.window, state.recent)}"
    if isinstance(noise.window, Metric):
        return f"still in trouble after {so_long}: {noise.window.name} is not back"
    return f"still failing: {failures(state.row)} in {so_long}"


def recovered(noise: Noise, was: RuleState, at_ms: int) -> str:
    """`recovered after 3h 10m, 7 failures`."""
    so_long = f"recovered after {duration(at_ms - was.since_ms)}"
    return so_long if isinstance(noise.window, SuccessRate | Metric) else f"{so_long}, {failures(was.row)}"
