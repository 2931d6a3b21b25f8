"""Messages that become one: which delivery tells of all, and when."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.noise import Flood, Grouping
from tocsin.model.world import Fold
from tocsin.rules.pacing import Rate, allowed, next_us, taken

CLOSING_MS = 2000
"""So long before it is sent, a message takes no more company: another process may be making it already."""


class Folded(Struct, frozen=True):
    """`head`: this delivery waits until `due_ms` and tells of all that join it. `into`: it joins the one named."""

    way: Literal["alone", "head", "into"]
    due_ms: int = 0
    into: str = ""


ALONE = Folded("alone")


def join(fold: Fold, delivery_id: str, now_ms: int, due_ms: int) -> tuple[Fold, Folded]:
    """Joins the message that waits, or becomes the one that the next ones join; it is sent at `due_ms`."""
    if fold.head and now_ms < fold.due_ms - CLOSING_MS:
        return replace(fold, count=fold.count + 1), Folded("into", fold.due_ms, fold.head)
    return replace(fold, head=delivery_id, due_ms=due_ms, count=1), Folded("head", due_ms)


def grouped(group: Grouping, fold: Fold, delivery_id: str, now_ms: int) -> tuple[Fold, Folded]:
    """The first of a group waits `wait_s`; after a message, the next comes no sooner than `interval_s` later."""
    due_ms = now_ms + int(group.wait_s * 1000)
    if fold.due_ms:
        due_ms = max(due_ms, fold.due_ms + int(group.interval_s * 1000))
    return join(fold, delivery_id, now_ms, due_ms)


def flooded(flood: Flood, fold: Fold, delivery_id: str, now_ms: int) -> tuple[Fold, Folded]:
    """Alone while there is room; the rest becomes one message when there is room again."""
    rate, now_us = Rate(flood.count, flood.per_s), now_ms * 1000
    if allowed(rate, fold.bucket_us, now_us, 1):
        return replace(fold, bucket_us=taken(rate, fold.bucket_us, now_us, 1)), ALONE
    due_ms = -(-next_us(rate, fold.bucket_us, now_us) // 1000) + CLOSING_MS
    joined, folded = join(fold, delivery_id, now_ms, due_ms)
    if folded.way == "head":
        joined = replace(joined, bucket_us=taken(rate, fold.bucket_us, now_us, 1))
    return joined, folded


def group_key(group: Grouping, event: Event) -> str:
    """What the events of one group have in common."""
    return "\x1f".join(f"{name}={value_of(event, name)}" for name in group.by)


def value_of(event: Event, name: str) -> str:
    if name.startswith("labels."):
        return event.labels.get(name.removeprefix("labels."), "")
    return str(getattr(event, name, ""))


def named(key: str) -> str:
    """A group's key as people read it."""
    return ", ".join(part for part in key.split("\x1f") if not part.endswith("=")) or "everything"
