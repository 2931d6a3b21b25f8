"""What comes from an event bus, and where the buses are."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from tocsin.model.hidden import Hidden
from tocsin.model.ids import DEFAULT_TENANT


class BusAddress(Hidden, frozen=True):
    """One address of TOCSIN_BUS_URL. `hosts` are `host:port`; `path` is the stream, topic or queue."""

    kind: str
    tls: bool
    hosts: tuple[str, ...]
    user: str
    password: str
    path: str
    tenant: str = DEFAULT_TENANT
    options: Mapping[str, str] = {}

    @property
    def name(self) -> str:
        """What people are shown: nothing of it is secret."""
        return f"{self.kind}/{self.path}"


class BusMessage(Struct, frozen=True):
    """One message. `headers` as an HTTP request would have them: names in small letters, values percent-encoded.

    `position` is the same at every redelivery and no other message's, or "" where the bus has no such thing.
    `handle` is the adapter's own.
    """

    body: bytes
    headers: Mapping[str, str]
    position: str
    handle: Any = None
