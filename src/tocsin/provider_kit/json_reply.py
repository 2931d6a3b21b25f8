"""A reply's body as the few fields that matter."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decoded(body: bytes, kind: type[T]) -> T | None:
    """The JSON in a body as that type; None for whatever else came, since anything may answer in a provider's place."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, another shape, or nested without end
        return None
