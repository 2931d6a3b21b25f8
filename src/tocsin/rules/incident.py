"""Trouble: which events open it, which close it, and what it is called."""

from typing import Literal

from tocsin.model.delivery import Words
from tocsin.model.event import Event

OPENS = frozenset({"run.failed", "run.exceeded", "run.missed", "stage.failed", "safety.rollback", "alert"})
CLOSES = frozenset({"run.succeeded", "alert.resolved"})

Meaning = Literal["opens", "closes", ""]


def of(event: Event, words: Words) -> tuple[Meaning, str]:
    """The same, where a rule has found something of its own."""
    if not words.alarm:
        return incident(event)
    kind = words.kind or event.kind
    return "closes" if kind in CLOSES else "opens" if kind in OPENS else "", words.alarm


def incident(event: Event) -> tuple[Meaning, str]:
    """What the event means for trouble, and the trouble's name, unique within the tenant.

    A pipeline is in trouble from a failure until its next success, whichever run that is. An alert is in trouble until
    it is resolved, known by its fingerprint if the source has one, else by what it is about.
    """
    if event.kind in OPENS:
        meaning: Meaning = "opens"
    elif event.kind in CLOSES:
        meaning = "closes"
    else:
        return "", ""
    if not event.kind.startswith("alert"):
        return meaning, f"pipeline:{event.pipeline or event.source}"
    fingerprint = event.data.get("fingerprint")
    known_by = fingerprint if isinstance(fingerprint, str) and fingerprint else event.labels.get("alertname", "")
    return meaning, f"alert:{event.source}:{event.pipeline}:{known_by or event.title}"
