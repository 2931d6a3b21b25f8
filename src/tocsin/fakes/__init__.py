"""Providers that are not there: each checks a request as the real one would, and answers in its words.

Tests and `tocsin demo` use the same ones. A fake holds what it was sent, so that one can look at the channel as people
would see it.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class Asked(Struct, frozen=True):
    """A request as the fake gets it. Header names are lower-case; `path` has its query; `at_ms` is the clock's time."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at_ms: int


class Answer(Struct, frozen=True):
    """What the provider says."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Fake(Protocol):
    """`hosts` are the provider's own names; tests and the demo lead them here with TOCSIN_CONNECT_TO."""

    hosts: tuple[str, ...]

    def answer(self, asked: Asked) -> Answer: ...
