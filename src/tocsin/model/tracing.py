"""Traces: what connects an event with what came before it and with what follows. W3C Trace Context carries it along:
https://www.w3.org/TR/trace-context/"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal, Protocol

HEADER = b"traceparent"
FORM = re.compile(rb"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")

current: ContextVar[str] = ContextVar("traceparent", default="")
"""The `traceparent` of the request that is being answered; "" where there is none."""


def given(headers: Mapping[bytes, bytes]) -> str:
    """The caller's, or "" where there is none that holds."""
    value = headers.get(HEADER)
    return value.decode("ascii") if value and FORM.match(value) else ""


class Span(Protocol):
    """A piece of work. `traceparent` is for what follows from it."""

    @property
    def traceparent(self) -> str: ...

    def end(self, attributes: Mapping[str, str | int], *, failed: str = "", name: str = "") -> None:
        """`failed`: why, where it did. `name`: where it was not known at the beginning."""


class Spans(Protocol):
    """Where spans go. Nobody waits for it, and nothing that goes wrong with it comes back."""

    def begin(self, name: str, kind: Literal["server", "internal", "client"], parent: str) -> Span: ...

    def flush(self) -> None:
        """Sends what waits; blocks for a few seconds at the most."""

    def close(self) -> None:
        """Sends what waits, and nothing any more."""
