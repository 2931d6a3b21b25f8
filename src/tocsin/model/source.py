"""A sender that somebody set up: an address of its own, and how its requests are read."""

from typing import Any

from msgspec import Struct

from tocsin.model.hidden import Hidden


class SourceRecord(Struct, frozen=True):
    """As it is kept, without its key and its secret. `last_used_ms` is to the minute."""

    id: str
    kind: str
    name: str
    settings: dict[str, Any]
    key_hint: str
    has_secret: bool
    is_active: bool
    created_by: str
    created_ms: int
    updated_ms: int
    last_used_ms: int | None = None


class Sender(Hidden, frozen=True):
    """Whom a key belongs to, and what its requests have to be signed with; "" where nothing is signed."""

    tenant_id: str
    source_id: str
    kind: str
    settings: dict[str, Any]
    secret: str
    is_active: bool
    suspended: bool
    last_used_ms: int | None = None
