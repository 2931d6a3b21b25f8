"""What is written down of every change: who did what to which object, from where, and who was refused."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

Outcome = Literal["done", "denied"]

MOST_BYTES = 16_384
"""Of JSON, before and after each: what is longer is told by its size."""

MOST_CHARS = 200
"""Of everything that a caller may choose: ids, user agents, reasons."""

OF_ITSELF = ("updated_at", "last_used_at", "last_fired_at")
"""Fields that change without anybody meaning them to."""


class Actor(Struct, frozen=True):
    """Who acts, and from where. `name` is the user's id, or the token's where it is a service's. `role` is viewer,
    developer, admin or operator; "" where there is no token."""

    name: str
    token_id: str = ""
    role: str = ""
    address: str = ""
    request_id: str = ""
    user_agent: str = ""


ITSELF = Actor("tocsin")
ENVIRONMENT = Actor("environment")


class Act(Struct, frozen=True):
    """One thing that somebody did, or was not allowed to do. `before` and `after` are the fields that changed, as they
    may be shown; None where there was nothing."""

    tenant_id: str
    actor: Actor
    action: str
    kind: str
    object_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    outcome: Outcome = "done"
    reason: str = ""


class Entry(Struct, frozen=True):
    """An act as it stands in the trail. `before` and `after` are JSON, or "". `hash` covers all of it and the entry
    before; `seal` is the key's word for the hash."""

    tenant_id: str
    number: int
    time_ms: int
    actor: str
    token_id: str
    role: str
    address: str
    request_id: str
    user_agent: str
    action: str
    kind: str
    object_id: str
    outcome: str
    reason: str
    before: str
    after: str
    hash: bytes
    seal: bytes


def changes(
    before: Any, after: Any, touched: tuple[str, ...] = ()
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The fields that differ, of two objects as they are shown. All fields of the one where the other is None.
    `touched` are there in any case: secrets look the same before and after."""
    old, new = shown(before), shown(after)
    if old is None or new is None:
        return old, new
    names = [
        name
        for name in dict.fromkeys((*old, *new))
        if name in touched or (name not in OF_ITSELF and old.get(name) != new.get(name))
    ]
    return {name: old[name] for name in names if name in old}, {name: new[name] for name in names if name in new}


def shown(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    fields: dict[str, Any] = msgspec.to_builtins(value)
    return fields


def text(fields: dict[str, Any] | None) -> str:
    """JSON, with its keys in order; "" for None."""
    if fields is None:
        return ""
    encoded = msgspec.json.encode(fields, order="deterministic")
    if len(encoded) > MOST_BYTES:
        encoded = msgspec.json.encode({"fields": sorted(fields), "omitted_bytes": len(encoded)}, order="deterministic")
    return encoded.decode()


def short(value: str) -> str:
    """What a caller chose, cut; without the character that PostgreSQL has no text for."""
    return value.replace("\x00", "\ufffd")[:MOST_CHARS]
