"""Every request has an id: the caller's, where it looks like one, else ours. It is in the answer, in each line of the
log that the request causes, and in the audit trail."""

import re
from collections.abc import Iterable
from contextvars import ContextVar

HEADER = b"x-request-id"
SANE = re.compile(rb"^[\w.:/+=-]{1,100}\Z", re.ASCII)

current: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being answered; "" outside of one."""


def given(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's, or ""."""
    for name, value in headers:
        if name == HEADER:
            return value.decode("ascii") if SANE.match(value) else ""
    return ""
