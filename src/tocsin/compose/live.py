"""One message per run: its root tells how the run stands, replies tell what happened."""

from msgspec import Struct
from msgspec.structs import replace

from tocsin.compose.message import compose
from tocsin.model.delivery import Words
from tocsin.model.event import Event
from tocsin.model.message import Message
from tocsin.model.run import ENDED, RUN_STATUS, Run, RunStep, Stage
from tocsin.model.thread import Thread
from tocsin.provider_kit.text import shared_key

KINDS = {
    "unknown": "run.progress",
    "running": "run.progress",
    "paused": "run.paused",
    "succeeded": "run.succeeded",
    "failed": "run.failed",
    "warning": "run.warning",
    "cancelled": "run.cancelled",
}
ALARMS = frozenset({"run.failed", "run.exceeded", "run.missed", "safety.rollback", "alert"})
"""These wake people: an edit would not."""
WARNINGS = frozenset({"run.warning"})


class Reply(Struct, frozen=True):
    """What to say beneath the root. `tells` names it, so that it is said once; `alarms` that it wakes people; `in_root`
    that a new root says the same: else it is said by itself where there is no root."""

    message: Message
    tells: tuple[str, ...]
    alarms: bool = False
    in_root: bool = True


def root_of(event: Event, run: Run, *, home: str = "") -> Message:
    """The run as it stands, whichever event brought it about."""
    about = run.about
    kind = KINDS[run.status]
    if kind == "run.progress" and not run.stages and about.type in ("", event.type):
        kind = "run.started" if event.kind == "run.started" else kind
    told = Event(
        uid=event.uid,
        tenant_id=event.tenant_id,
        id=event.id,
        source=event.source,
        type=about.type or kind,
        kind=kind,
        time_ms=run.updated_ms or event.time_ms,
        received_ms=event.received_ms,
        severity=about.severity,
        pipeline=run.pipeline,
        run_id=run.run_id,
        title=about.title,
        message=about.message,
        labels=about.labels,
        data=about.data,
        links=about.links,
        actions=event.actions,
    )
    return compose(told, run, home=home)


def reply_of(
    event: Event, run: Run, newest: Run, thread: Thread, words: Words, *, details: bool, home: str = ""
) -> Reply | None:
    """What this event adds beneath the root; None where the root says it all. The root shows the `newest` attempt of
    the run; `words` are what planning says to the event. A failure that the run has got over wakes nobody any more."""
    is_stage, found = event.kind.startswith("stage."), bool(words.title or words.note)
    if found or event.kind in ALARMS or event.kind in WARNINGS or not (is_stage or event.kind in RUN_STATUS):
        is_over = event.kind == "run.failed" and newest.status == "succeeded"
        in_root = KINDS[newest.status] == event.kind and not found
        message = compose(event, run, words=words, home=home)
        return Reply(message, (event.uid,), event.kind in ALARMS and not is_over, in_root)
    if event.kind == "run.succeeded" and thread.alarmed:
        return Reply(compose(event, run, words=Words(note="Recovered."), home=home), (event.uid,))
    if not details or not is_stage:
        return None
    ended = {told_as(stage, run): stage for stage in run.stages if stage.status != "running"}
    new = {name: stage for name, stage in ended.items() if name not in thread.told}
    if not new:
        return None
    steps = tuple(RunStep(stage.label, stage.status, stage.duration_ms) for stage in new.values())
    news = next((stage for stage in new.values() if stage.status == "failed"), [*new.values()][-1])
    wakes = event.kind == "stage.failed" and not words.quiet
    return Reply(replace(compose(about_stage(event, news), run, home=home), steps=steps), tuple(new), wakes)


def about_stage(event: Event, stage: Stage) -> Event:
    """The event that told of this stage's end: others may have come in before it could be told."""
    kind = f"stage.{stage.status}"
    if event.kind == kind and event.stage == stage.name:
        return event
    data = {"error": stage.error} if stage.error else {}
    return replace(event, type=kind, kind=kind, stage=stage.name, title="", message="", data=data, actions=())


def told_as(stage: Stage, run: Run) -> str:
    """What names the end of a stage, so that it is told once: each try has one, in each attempt of the run."""
    tries = f":{run.attempt}.{stage.attempt}" if run.attempt > 1 or stage.attempt > 1 else ""
    return f"{shared_key(stage.label)[:16]}:{stage.status}{tries}"


def ended(run: Run) -> str:
    """The final status, "" while it runs."""
    return run.status if run.status in ENDED else ""
