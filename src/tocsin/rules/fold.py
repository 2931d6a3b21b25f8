"""Messages that become one: which delivery tells of all, and when.

What is told together is settled once the first attempt begins. The store says which messages still take company (see
noise.py there): `Fold.head` is "" for those that do not.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.noise import Flood, Grouping
from tocsin.model.world import Fold
from tocsin.provider_kit.text import cut, line, shared_key
from tocsin.rules.pacing import Rate, allowed, next_us, taken

SUMMARY_MS = 2000
"""A flood's summary waits at least so long for company, even where there is room again sooner."""

VALUE_CHARS = 60


class Folded(Struct, frozen=True):
    """`head`: this delivery waits until `due_ms` and tells of all that join it. `into`: it joins the one named."""

    way: Literal["alone", "head", "into"]
    due_ms: int = 0
    into: str = ""


ALONE = Folded("alone")


def join(fold: Fold, delivery_id: str, now_ms: int, due_ms: int) -> tuple[Fold, Folded]:
    """Joins the message that waits, or becomes the one that the next ones join; it is sent at `due_ms`. Nothing waits
    longer for company than it would alone: where the hour of a digest was moved, what waits for the old one goes by
    itself."""
    if fold.head and now_ms < fold.due_ms <= due_ms:
        return replace(fold, count=fold.count + 1), Folded("into", fold.due_ms, fold.head)
    return replace(fold, head=delivery_id, due_ms=due_ms, count=1), Folded("head", due_ms)


def grouped(group: Grouping, fold: Fold, delivery_id: str, now_ms: int) -> tuple[Fold, Folded]:
    """The first of a group waits `wait_s`; after a message, the next comes no sooner than `interval_s` later."""
    due_ms = now_ms + int(group.wait_s * 1000)
    if fold.due_ms:
        due_ms = max(due_ms, fold.due_ms + int(group.interval_s * 1000))
    return join(fold, delivery_id, now_ms, due_ms)


def flooded(flood: Flood, fold: Fold, delivery_id: str, now_ms: int) -> tuple[Fold, Folded]:
    """Alone while there is room; the rest becomes one message when there is room again. While that one waits, all that
    comes joins it, so that it is not overtaken."""
    if fold.head and now_ms < fold.due_ms:
        return join(fold, delivery_id, now_ms, fold.due_ms)
    rate, now_us = Rate(flood.count, flood.per_s), now_ms * 1000
    counted = replace(fold, bucket_us=taken(rate, fold.bucket_us, now_us, 1))
    if allowed(rate, fold.bucket_us, now_us, 1):
        return counted, ALONE
    room_ms = -(-next_us(rate, fold.bucket_us, now_us) // 1000)
    return join(counted, delivery_id, now_ms, max(room_ms, now_ms + SUMMARY_MS))


def group_key(group: Grouping, event: Event) -> str:
    """What the events of one group have in common, as an opaque name of 32 characters, whatever they say."""
    return shared_key(*(part for name in group.by for part in (name, value_of(event, name))))


def in_common(group: Grouping, event: Event) -> str:
    """The same, as people read it: `pipeline=etl/orders, labels.env=prod`."""
    values = [(name, cut(line(value_of(event, name)), VALUE_CHARS)) for name in group.by]
    return ", ".join(f"{name}={value}" for name, value in values if value) or "everything of one rule"


def value_of(event: Event, name: str) -> str:
    if name.startswith("labels."):
        return event.labels.get(name.removeprefix("labels."), "")
    return str(getattr(event, name, ""))
