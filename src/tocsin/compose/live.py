"""One message per run: its root tells how the run stands, replies tell what happened."""

from msgspec import Struct
from msgspec.structs import replace

from tocsin.compose.message import compose
from tocsin.model.delivery import Words
from tocsin.model.event import Event
from tocsin.model.message import Message
from tocsin.model.run import ENDED, Run, RunStep
from tocsin.model.thread import Thread

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
    """What to say beneath the root. `tells` names it, so that it is said once; `alarms` that it wakes people."""

    message: Message
    tells: tuple[str, ...]
    alarms: bool = False


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


def reply_of(event: Event, run: Run, thread: Thread, *, details: bool, home: str = "") -> Reply | None:
    """What this event adds beneath the root; None where the root says it all."""
    if event.kind in ALARMS or event.kind in WARNINGS:
        return Reply(compose(event, run, home=home), (event.uid,), event.kind in ALARMS)
    if event.kind == "run.succeeded" and thread.alarmed:
        return Reply(compose(event, run, words=Words(note="Recovered."), home=home), (event.uid,))
    if not details or not event.kind.startswith("stage."):
        return None
    ended = {f"{stage.name}:{stage.status}": stage for stage in run.stages if stage.status != "running"}
    new = {name: stage for name, stage in ended.items() if name not in thread.told}
    if not new:
        return None
    steps = tuple(RunStep(stage.name, stage.status, stage.duration_ms) for stage in new.values())
    return Reply(replace(compose(event, run, home=home), steps=steps), tuple(new))


def ended(run: Run) -> str:
    """The final status, "" while it runs."""
    return run.status if run.status in ENDED else ""
