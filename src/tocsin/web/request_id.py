"""Every request has an id: the caller's, where it looks like one, else ours. It is in the answer, in each line of the
log that the request causes, and in the audit trail."""

import re
from collections.abc import Mapping
from contextvars import ContextVar

HEADER = b"x-request-id"
SANE = re.compile(rb"^[\w.:/+=-]{1,100}\Z", re.ASCII)

current: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being answered; "" outside of one."""


def given(headers: Mapping[bytes, bytes]) -> str:
    """The caller's, or ""."""
    value = headers.get(HEADER)
    return value.decode("ascii") if value and SANE.match(value) else ""
