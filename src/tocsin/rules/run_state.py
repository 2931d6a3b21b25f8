"""A run built up from its events, in whatever order they come.

What the events say in `data`:

attempt: of a run's event, which attempt of the run it is about (1 where it does not say); of a stage's event, which try
of the stage. stage_attempt: the stage's try; `attempt` is the run's then. run_attempt: the run's, in any event.
map_index: which of the many that a stage runs as. will_retry: the failure is not the last word. parent_run_id: the run
that started this one. log: more of the run's log. log_tail: the end of the log so far. error: what went wrong.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.run import ENDED, RUN_STATUS, Run, RunAbout, Stage
from tocsin.provider_kit.text import tail
from tocsin.rules.own import OWN

ERROR_CHARS = 4000
LOG_BYTES = 16 * 1024
MAX_STAGES = 200
MOST_ATTEMPTS = 1_000_000
MOST_MAPPED = 1_000_000_000
ID_CHARS = 256

STAGE_STATUS = {
    "stage.started": "running",
    "stage.progress": "running",
    "stage.succeeded": "succeeded",
    "stage.failed": "failed",
    "stage.skipped": "skipped",
}
KEPT_ELSEWHERE = frozenset({"log", "log_tail", "error", "parent_run_id", "will_retry"})
"""What of an event's data the run keeps in a place of its own, or what is true of the event alone."""


def attempt_of(data: Mapping[str, Any]) -> int:
    """Which attempt of its run an event about the run is about, 1 where it says nothing of use."""
    return count_of(data, "run_attempt") or count_of(data, "attempt") or 1


def attempt_named(kind: str, data: Mapping[str, Any]) -> int:
    """Which attempt of its run any event is about; 0 where it does not say: then it is about the newest."""
    if kind in RUN_STATUS:
        return attempt_of(data)
    named = count_of(data, "run_attempt")
    if not named and (kind not in STAGE_STATUS or "stage_attempt" in data):
        named = count_of(data, "attempt")
    return named


def stage_attempt(data: Mapping[str, Any]) -> int:
    """Which try of its stage an event of a stage is about; 0 where it does not say."""
    return count_of(data, "stage_attempt" if "stage_attempt" in data else "attempt")


def count_of(data: Mapping[str, Any], name: str, most: int = MOST_ATTEMPTS) -> int:
    """A whole number from 1; 0 for anything else."""
    found = data.get(name)
    return found if type(found) is int and 1 <= found <= most else 0


def concerns_run(event: Event) -> bool:
    """Whether the event is a part of a run's story. What Tocsin finds out about the run is not."""
    return bool(event.run_id) and event.source != OWN and (event.kind in RUN_STATUS or event.kind in STAGE_STATUS)


def after(run: Run, event: Event) -> Run:
    """The run as it is once this event is known. An end stays the end: what comes late fills in, it does not undo."""
    if event.kind not in STAGE_STATUS and event.kind not in RUN_STATUS:
        return run
    was, data = run.about, event.data
    is_late = bool(was.type) and event.time_ms < was.at_ms
    changes = stage_changes(run, event) if event.kind in STAGE_STATUS else run_changes(run, event, is_late=is_late)
    if data:
        parent = data.get("parent_run_id")
        if isinstance(parent, str) and parent and not run.parent_run_id:
            changes["parent_run_id"] = parent[:ID_CHARS]
        if log := log_after(run.log_tail, data, is_late=is_late):
            changes["log_tail"] = log
    return replace(run, updated_ms=max(run.updated_ms, event.received_ms), **changes)


def run_changes(run: Run, event: Event, *, is_late: bool) -> dict[str, Any]:
    """What an event about the run as a whole changes."""
    status, ended = RUN_STATUS[event.kind], run.is_over
    said = about(run.about, event, is_late=is_late)
    if status in ENDED:
        is_old = ended and run.finished_ms is not None and event.time_ms < run.finished_ms
        error = error_of(event) if status != "succeeded" else ""
        return {
            "about": said,
            "status": run.status if is_old else status,
            "finished_ms": run.finished_ms if is_old else event.time_ms,
            "error": run.error if (is_old and run.error) or not error else error,
        }
    started_ms = run.started_ms
    if event.kind == "run.started":
        started_ms = event.time_ms if started_ms is None else min(event.time_ms, started_ms)
    return {"about": said, "status": run.status if ended or is_late else status, "started_ms": started_ms}


def about(was: RunAbout, event: Event, *, is_late: bool) -> RunAbout:
    """What is said of the run as a whole: the newest word counts, and nothing is forgotten. Its end pays what was owed
    to those who were told that it is late."""
    data = event.data
    if not KEPT_ELSEWHERE.isdisjoint(data):
        data = {name: value for name, value in data.items() if name not in KEPT_ELSEWHERE}
    from_ms = first_ms(was, event)
    told = () if RUN_STATUS[event.kind] in ENDED else was.told
    if is_late:  # it fills in what is missing
        return replace(
            was,
            labels=merged(event.labels, was.labels),
            data=merged(data, was.data),
            links=merged(event.links, was.links),
            from_ms=from_ms,
            told=told,
        )
    return replace(
        was,
        type=event.type,
        severity=event.severity,
        title=event.title,
        message=event.message,
        labels=merged(was.labels, event.labels),
        data=merged(was.data, data),
        links=merged(was.links, event.links),
        at_ms=min(event.time_ms, event.received_ms),  # a clock that is ahead must not make late what comes after it
        from_ms=from_ms,
        told=told,
    )


def merged(older: dict[str, Any], newer: dict[str, Any]) -> dict[str, Any]:
    """Both; of what both have, the newer."""
    return {**older, **newer} if older and newer else newer or older


def first_ms(was: RunAbout, event: Event) -> int:
    """The time of the first event of the run."""
    return min(was.from_ms, event.time_ms) if was.from_ms else event.time_ms


def stage_changes(run: Run, event: Event) -> dict[str, Any]:
    """What an event about one of its stages changes."""
    name, index = event.stage or "stage", map_index(event.data)
    known = next((stage for stage in run.stages if (stage.name, stage.map_index) == (name, index)), None)
    stage = stage_after(known or Stage(name, "running", map_index=index), event)
    if known is None:
        stages = (*run.stages, stage)[-MAX_STAGES:]
    else:
        stages = tuple(stage if old is known else old for old in run.stages)
    changes: dict[str, Any] = {"stages": stages, "about": replace(run.about, from_ms=first_ms(run.about, event))}
    if run.status == "unknown":
        changes["status"] = "running"
    if stage.error and not (run.error and (run.is_over or event.kind != "stage.failed")):
        changes["error"] = stage.error
    return changes


def stage_after(known: Stage, event: Event) -> Stage:
    """A later try takes the place of an earlier one; of an earlier one only the error is worth keeping. Where events do
    not count the tries, a start after an end begins the next."""
    status = STAGE_STATUS[event.kind]
    over = status != "running"
    begins = event.kind == "stage.started"
    attempt = stage_attempt(event.data)
    if not attempt:
        again = begins and known.finished_ms is not None and event.time_ms > known.finished_ms
        attempt = known.attempt + again
    error = error_of(event) if status == "failed" else ""
    if attempt < known.attempt:
        return replace(known, error=known.error or error)
    if attempt > known.attempt:
        known = replace(known, attempt=attempt, status="running", started_ms=None, finished_ms=None, will_retry=False)
    started_ms = known.started_ms
    if begins:
        started_ms = event.time_ms if started_ms is None else min(started_ms, event.time_ms)
    if not over:
        return replace(known, status=known.status if known.finished_ms is not None else status, started_ms=started_ms)
    if known.finished_ms is not None and event.time_ms < known.finished_ms:
        return known
    return replace(
        known,
        status=status,
        started_ms=started_ms,
        finished_ms=event.time_ms,
        error=error or known.error,
        will_retry=status == "failed" and event.data.get("will_retry") is True,
    )


def map_index(data: Mapping[str, Any]) -> int | None:
    """Which of the many that a stage runs as; None for a stage that runs once (orchestrators say -1 for that)."""
    found = data.get("map_index")
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= MOST_MAPPED:
        return None
    return found


def log_after(known: str, data: Mapping[str, Any], *, is_late: bool) -> str:
    """The end of the log with what the event brings; "" where it brings nothing."""
    whole, more = data.get("log_tail"), data.get("log")
    if isinstance(whole, str) and whole and not (is_late and known):
        return last_bytes(whole)
    if isinstance(more, str) and more:
        return last_bytes(f"{known}\n{more}" if known and not known.endswith("\n") else known + more)
    return ""


def last_bytes(text: str) -> str:
    """At most LOG_BYTES of it in UTF-8, whole characters, from the end."""
    encoded = text[-LOG_BYTES:].encode()
    return encoded[-LOG_BYTES:].decode("utf-8", "ignore")


def error_of(event: Event) -> str:
    """The error an event reports: its `data.error`, else its message; the end of it, if it is long."""
    error = event.data.get("error")
    return tail(error if isinstance(error, str) else event.message, ERROR_CHARS)


def overdue(run: Run, due_ms: int, told: tuple[str, ...]) -> Run:
    """The run once the clock said that it takes too long. `due_ms`: when it should have ended, 0 where nobody can say.
    `told`: the rules whose people were told so."""
    was = run.about
    if run.is_over:
        return run
    due_ms = min(due_ms, was.due_ms) if due_ms and was.due_ms else due_ms or was.due_ms
    return replace(run, about=replace(was, due_ms=due_ms, told=tuple(dict.fromkeys((*was.told, *told)))))
