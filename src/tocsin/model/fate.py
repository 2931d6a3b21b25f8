"""A fate: how far a delivery got, with what is known at present of its endpoint and of the message that tells of it."""

from msgspec import Struct


class Head(Struct, frozen=True):
    """The delivery that tells of others, too."""

    id: str
    status: str
    reason: str
    due_ms: int
    delivered_ms: int | None


class Fate(Struct, frozen=True, kw_only=True):
    """`endpoint` is its name. `common`: what the messages have in common that it tells of, "" for one that tells of
    itself alone. `head`: the delivery that told, or will tell, of this one. `disabled`: why Tocsin switched the
    endpoint off, or "". `paused_until_ms`: its provider asked to be left alone until then. Times are Unix
    milliseconds."""

    id: str
    event_uid: str
    endpoint_id: str
    endpoint: str
    rule_id: str
    status: str
    reason: str = ""
    error: str = ""
    attempts: int = 0
    due_ms: int = 0
    delivered_ms: int | None = None
    common: str = ""
    head: Head | None = None
    disabled: str = ""
    paused_until_ms: int = 0


class Bundle(Struct, frozen=True):
    """The deliveries of one event that are in one state. `head`: the state of the message that tells of them too, or
    "". `silenced`: so many of them a silence kept back. `reason`: that of one of them. `seen`: whoever asks may see
    them."""

    status: str
    head: str
    count: int
    silenced: int
    reason: str
    seen: bool
