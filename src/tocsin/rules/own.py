"""What Tocsin finds out itself, mostly from the clock: events of its own, which belong to the rule that had it look."""

from typing import Any

from msgspec import Struct

from tocsin.model.event import Event

OWN = "tocsin"
"""The source of such events."""
STILL_FAILING = "rule.still_failing"
"""A rule reminds its own people, and nobody else: nothing new has happened."""


class Finding(Struct, frozen=True, kw_only=True):
    """The event that tells of it. `id` is made of what it tells, so that it is told once, whoever finds it."""

    id: str
    type: str
    kind: str
    severity: str = "warning"
    title: str = ""
    message: str = ""
    pipeline: str = ""
    run_id: str = ""
    labels: dict[str, str] = {}
    data: dict[str, Any] = {}
    links: dict[str, str] = {}


def owner_of(event: Event) -> str:
    """The id of the rule that had Tocsin look; "" for every event that comes from elsewhere."""
    owner = event.data.get("watch") if event.source == OWN else None
    return owner if isinstance(owner, str) else ""


def is_reminder(event: Event) -> bool:
    return event.type == STILL_FAILING and owner_of(event) != ""
