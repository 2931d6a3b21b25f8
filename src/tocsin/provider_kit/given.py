"""Bodies that somebody else has made: what a flow's task wrote as its payload goes out as it is."""

from typing import Any

import msgspec

from tocsin.model.wire import HttpRequest, Sending

OURS = frozenset({"content-type", "content-length", "host", "connection", "transfer-encoding", "expect", "upgrade"})
"""Headers that are the request's own."""


def post(sending: Sending) -> HttpRequest:
    """To the endpoint's address, with its headers."""
    assert sending.body is not None
    headers = [("content-type", "application/json; charset=utf-8")]
    headers += [pair for pair in sending.target.headers if pair[0].lower() not in OURS]
    return HttpRequest("POST", sending.target.address, sending.body, tuple(headers))


def as_object(sending: Sending) -> dict[str, Any]:
    """The body's fields. Who gave it has seen to it that it is an object."""
    assert sending.body is not None
    return msgspec.json.decode(sending.body, type=dict[str, Any])
